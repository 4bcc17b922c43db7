package socket_test

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/socket"
)

// needsLinux skips a test of what other systems do not know.
func needsLinux(t testing.TB) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
}

// pair returns both ends of a connection over the loopback network.
func pair(t testing.TB) (server, client *net.TCPConn) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return pairAt(t, listener)
}

func pairAt(t testing.TB, listener net.Listener) (server, client *net.TCPConn) {
	dialed, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	accepted, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		accepted.Close()
		dialed.Close()
	})
	return accepted.(*net.TCPConn), dialed.(*net.TCPConn)
}

// soon waits for what another goroutine, or the kernel, is about to do.
func soon(t testing.TB, is func() bool, what string) {
	for deadline := time.Now().Add(10 * time.Second); !is(); runtime.Gosched() {
		require.True(t, time.Now().Before(deadline), what)
	}
}

type layer struct{ net.Conn }

func (l layer) NetConn() net.Conn { return l.Conn }

type opaque struct{ net.Conn }

func TestAnythingButASocketTellsNothing(t *testing.T) {
	pipe, _ := net.Pipe()
	server, _ := pair(t)
	for _, s := range []*socket.Socket{
		nil, socket.Of(pipe), socket.Of(opaque{server}), socket.Of(layer{pipe}),
	} {
		assert.False(t, s.CanTell())
		assert.False(t, s.HungUp())
		_, _, ok := s.Sent()
		assert.False(t, ok)
		_, ok = s.Written()
		assert.False(t, ok)
		var w socket.Watcher
		watch := w.Watch(s, func() { assert.Fail(t, "gone") })
		assert.Nil(t, watch)
		watch.Stop()
	}
}

func TestHungUp(t *testing.T) {
	needsLinux(t)
	for name, hangUp := range map[string]func(server, client *net.TCPConn){
		"closed":    func(_, client *net.TCPConn) { client.Close() },
		"half":      func(_, client *net.TCPConn) { client.CloseWrite() },
		"reset":     func(_, client *net.TCPConn) { client.SetLinger(0); client.Close() },
		"this side": func(server, _ *net.TCPConn) { server.Close() },
		"unread bytes before it": func(_, client *net.TCPConn) {
			io.WriteString(client, strings.Repeat("x", 10_000))
			client.CloseWrite()
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := pair(t)
			s := socket.Of(layer{layer{server}})
			assert.True(t, s.CanTell())
			io.WriteString(client, "x")
			assert.False(t, s.HungUp())
			hangUp(server, client)
			soon(t, s.HungUp, "the client has hung up")
		})
	}
}

func TestSentAndWritten(t *testing.T) {
	needsLinux(t)
	server, client := pair(t)
	s := socket.Of(server)
	_, err := io.WriteString(server, "hello")
	require.NoError(t, err)
	soon(t, func() bool {
		confirmed, more, ok := s.Sent()
		return ok && !more && confirmed >= 5
	}, "it arrives")
	confirmed, _, _ := s.Sent()
	written, ok := s.Written()
	assert.True(t, ok)
	assert.Equal(t, confirmed, written)

	// The client reads nothing, so the written bytes wait.
	server.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	var total int
	for err = nil; err == nil; {
		var n int
		n, err = server.Write(make([]byte, 1<<20))
		total += n
	}
	soon(t, func() bool {
		again, more, ok := s.Sent()
		after, _ := s.Written()
		return ok && more && again < after && after == written+uint64(total)
	}, "some of it waits")
	go io.Copy(io.Discard, client)
	soon(t, func() bool {
		again, more, ok := s.Sent()
		return ok && !more && again == written+uint64(total)
	}, "it was taken")

	server.Close()
	_, _, ok = s.Sent()
	assert.False(t, ok)
	_, ok = s.Written()
	assert.False(t, ok)
}

func TestASocketOfAnotherFamilyDoesNotTellWhatWasSent(t *testing.T) {
	needsLinux(t)
	listener, err := net.Listen("unix", t.TempDir()+"/socket")
	require.NoError(t, err)
	defer listener.Close()
	dialed, err := net.Dial("unix", listener.Addr().String())
	require.NoError(t, err)
	accepted, err := listener.Accept()
	require.NoError(t, err)
	defer accepted.Close()
	s := socket.Of(accepted)
	_, _, ok := s.Sent()
	assert.False(t, ok)
	_, ok = s.Written()
	assert.False(t, ok)
	assert.False(t, s.HungUp())
	dialed.Close()
	soon(t, s.HungUp, "the client has hung up")
}
