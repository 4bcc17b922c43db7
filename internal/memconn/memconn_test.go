package memconn_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/memconn"
)

func pipe(t *testing.T) (*memconn.Conn, *memconn.Conn) {
	client, server := memconn.Pipe(&net.TCPAddr{Port: 1}, &net.TCPAddr{Port: 2})
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestBytesArriveInOrder(t *testing.T) {
	client, server := pipe(t)
	sent := make([]byte, 1<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range sent {
		sent[i] = byte(random.Uint32())
	}
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(100_000))
			client.Write(rest[:n])
			rest = rest[n:]
		}
		client.Close()
	}()
	var received bytes.Buffer
	buf := make([]byte, 3000)
	for {
		n, err := server.Read(buf[:1+received.Len()%len(buf)])
		received.Write(buf[:n])
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
	}
	assert.True(t, bytes.Equal(sent, received.Bytes()))
}

func TestWriteBlocksWhenNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := pipe(t)
		client.SetWriteDeadline(time.Now().Add(3 * time.Second))
		start := time.Now()
		n, err := client.Write(make([]byte, 1<<20))
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, 64<<10, n)
		assert.Equal(t, 3*time.Second, time.Since(start))
	})
}

func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pipe(t)
		client.SetReadDeadline(time.Now().Add(time.Minute))
		client.SetReadDeadline(time.Now().Add(time.Second))
		_, err := client.Read(make([]byte, 1))
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		client.SetReadDeadline(time.Time{})
		go server.Write([]byte("x"))
		n, err := client.Read(make([]byte, 1))
		require.NoError(t, err)
		assert.Equal(t, 1, n)
	})
}

func TestClose(t *testing.T) {
	client, server := pipe(t)
	client.Write([]byte("last words"))
	require.NoError(t, client.Close())

	text, err := io.ReadAll(server)
	require.NoError(t, err)
	assert.Equal(t, "last words", string(text))
	_, err = server.Write([]byte("x"))
	assert.ErrorIs(t, err, io.ErrClosedPipe)
	_, err = client.Write([]byte("x"))
	assert.ErrorIs(t, err, net.ErrClosed)
	_, err = client.Read(make([]byte, 1))
	assert.ErrorIs(t, err, net.ErrClosed)
}

func TestCloseWakesAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pipe(t)
		go func() {
			synctest.Wait()
			client.Close()
		}()
		_, err := server.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err)
	})
}

func TestHalfClose(t *testing.T) {
	client, server := pipe(t)
	client.CloseWrite()
	_, err := server.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
	server.Write([]byte("answer"))
	server.Close()
	text, err := io.ReadAll(client)
	require.NoError(t, err)
	assert.Equal(t, "answer", string(text))
}
