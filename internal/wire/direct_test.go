//go:build unix

package wire

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sockets returns both ends of a connection.
func sockets(t *testing.T, network, address string) (server, client net.Conn) {
	ln, err := net.Listen(network, address)
	require.NoError(t, err)
	defer ln.Close()
	client, err = net.Dial(network, ln.Addr().String())
	require.NoError(t, err)
	server, err = ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		server.Close()
		client.Close()
	})
	return server, client
}

func directOf(t *testing.T, conn net.Conn) *direct {
	socket, err := conn.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	return newDirect(conn, socket)
}

// A direct read from a socket gives the same bytes and errors as the socket's own Read.
func TestDirectReads(t *testing.T) {
	for network, address := range map[string]string{
		"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "socket"),
	} {
		t.Run(network, func(t *testing.T) {
			server, client := sockets(t, network, address)
			d := directOf(t, server)
			require.NotNil(t, d)
			read := func() (string, error) {
				in, err := d.result(d.socket.Read(d.try))
				return string(in.data), err
			}
			go func() {
				time.Sleep(10 * time.Millisecond) // so that the Read usually waits
				io.WriteString(client, "hello")
			}()
			got, err := read()
			require.NoError(t, err)
			assert.Equal(t, "hello", got)
			server.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err = read()
			assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
			var timeout net.Error
			require.ErrorAs(t, err, &timeout)
			assert.True(t, timeout.Timeout())
			server.SetReadDeadline(time.Time{})
			client.Close()
			_, err = read()
			assert.Equal(t, io.EOF, err)
			server.Close()
			_, err = read()
			assert.ErrorIs(t, err, net.ErrClosed)
		})
	}
}

func TestDirectReadOfAReset(t *testing.T) {
	server, client := sockets(t, "tcp", "127.0.0.1:0")
	d := directOf(t, server)
	client.(*net.TCPConn).SetLinger(0)
	client.Close()
	in, err := d.result(d.socket.Read(d.try))
	assert.Empty(t, in.data)
	assert.ErrorIs(t, err, syscall.ECONNRESET)
}

// Close ends a Read that waits.
func TestDirectReadIsEndedByClose(t *testing.T) {
	server, _ := sockets(t, "tcp", "127.0.0.1:0")
	d := directOf(t, server)
	time.AfterFunc(10*time.Millisecond, func() { server.Close() })
	_, err := d.result(d.socket.Read(d.try))
	assert.ErrorIs(t, err, net.ErrClosed)
}

// A connection around a socket may have bytes of its own: only its own Read returns them.
func TestOnlySocketsAreReadDirectly(t *testing.T) {
	server, _ := sockets(t, "tcp", "127.0.0.1:0")
	assert.Nil(t, directOf(t, struct{ *net.TCPConn }{server.(*net.TCPConn)}))
	assert.Nil(t, newDirect(&prefixed{Conn: server}, nil))
}
