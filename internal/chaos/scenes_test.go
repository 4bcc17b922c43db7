package chaos_test

import (
	"crypto/tls"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// In memory all times are exact. Nothing may run at the end, or the bubble fails the test.
//
//	go test -race ./internal/chaos -chaos 60s
func TestChaosInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &chaos{
			t:        t,
			unit:     time.Second,
			duration: 30 * *chaosTime,
			patience: 15 * time.Minute,
			large:    100 << 10,
			hasIdle:  true,
		}
		c.run(func(options *imapserver.Options) (func(int) (net.Conn, error), func()) {
			server := imaptest.NewServer(t, options)
			dial := func(ip int) (net.Conn, error) { return server.DialFrom(addresses[ip]), nil }
			return dial, server.Close
		})
		c.assertMuchHappened()
	})
}

var addresses = [...]string{
	"192.0.2.1",
	"192.0.2.2",
	"192.0.2.3",
	"192.0.2.4",
	"192.0.2.5",
	"192.0.2.6",
	"192.0.2.7",
	"192.0.2.8",
}

// Over sockets the limiter can see which clients have hung up or stalled. A wait may be ten seconds
// longer than its timeout, because the machine may be busy with something else.
func TestChaosOverSockets(t *testing.T) {
	chaosOverSockets(t, true, false, func(options *imapserver.Options) (server, error) {
		return imapserver.New(options), nil
	})
}

// TestChaosWithoutIdle does the same behind the guard of imapgate.Server, without IDLE on the wire.
func TestChaosWithoutIdle(t *testing.T) {
	chaosOverSockets(t, false, false, func(options *imapserver.Options) (server, error) {
		return imapgate.NewServer(&imapgate.Options{
			Server: *options,
			Limits: guardOnly(),
			Idle:   &idle.Options{Mode: idle.Off},
		})
	})
}

// TestChaosOverTLS does the same over TLS, with IDLE.
func TestChaosOverTLS(t *testing.T) {
	chaosOverSockets(t, true, true, func(options *imapserver.Options) (server, error) {
		return imapgate.NewServer(&imapgate.Options{Server: *options, Limits: guardOnly()})
	})
}

// guardOnly are the limits of the guard. The other limits are inside it, where the witness sees
// them.
func guardOnly() *limits.Options {
	defaults := limits.DefaultOptions()
	return &limits.Options{
		MaxLoginBytes:   defaults.MaxLoginBytes,
		MaxCommandBytes: defaults.MaxCommandBytes,
		MaxSearchDepth:  defaults.MaxSearchDepth,
	}
}

type server interface {
	Serve(net.Listener) error
	Close() error
}

func chaosOverSockets(
	t *testing.T, hasIdle, secure bool, newServer func(*imapserver.Options) (server, error),
) {
	c := &chaos{
		t: t, unit: 20 * time.Millisecond, duration: *chaosTime / 2, patience: time.Minute,
		margin: 10 * time.Second, large: 1 << 20, hasIdle: hasIdle,
	}
	c.run(func(options *imapserver.Options) (func(int) (net.Conn, error), func()) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		server, err := newServer(options)
		require.NoError(t, err)
		served := make(chan error)
		var listener net.Listener = &chaosListener{ln, c.witness}
		if secure {
			listener = tls.NewListener(listener, imaptest.ServerTLS())
		}
		go func() { served <- server.Serve(listener) }()
		dial := func(ip int) (net.Conn, error) {
			conn, err := dialFrom(ln.Addr(), ip, c.witness)
			if err == nil && secure {
				conn = tls.Client(conn, imaptest.ClientTLS())
			}
			return conn, err
		}
		return dial, func() {
			server.Close()
			require.NoError(t, <-served)
		}
	})
	if !until(c.patience, func() bool { return len(goroutines()) == 0 }) {
		t.Errorf("goroutines left: %s", goroutines())
	}
}

// smallBuffer is small so that a stalled client fills it soon.
const smallBuffer = 16 << 10

// dialFrom connects from one of several addresses of this machine, if it has them.
func dialFrom(to net.Addr, ip int, w *witness) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	if runtime.GOOS == "linux" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+ip))}
	}
	conn, err := dialer.Dial("tcp", to.String())
	if err != nil {
		return nil, err
	}
	w.gone.Store(conn.LocalAddr().String(), new(atomic.Bool))
	return conn, conn.(*net.TCPConn).SetReadBuffer(smallBuffer)
}

type chaosListener struct {
	net.Listener
	witness *witness
}

func (l *chaosListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn.(*net.TCPConn).SetWriteBuffer(smallBuffer)
	return &chaosConn{conn.(*net.TCPConn), l.witness}, nil
}

// chaosConn is the server's side of a connection. It notifies the witness before it is closed.
type chaosConn struct {
	*net.TCPConn
	witness *witness
}

func (c *chaosConn) Close() error {
	c.witness.leaving(c.RemoteAddr().String())
	return c.TCPConn.Close()
}
