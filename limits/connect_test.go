package limits_test

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// door is a server that refuses all connections, each for the same reason.
type door struct {
	options *limits.Options
	prepare func(*limits.Limiter)
	failing bool // NewSession fails
	stats   limits.Stats
}

var doors = map[string]door{
	"one too many": {options: &limits.Options{MaxConnections: 1000}, prepare: func(l *limits.Limiter) {
		options := l.Options()
		options.LimitsFor = func(limits.Client) limits.ClientLimits {
			return limits.ClientLimits{MaxConnectionsPerIP: 1}
		}
		l.SetOptions(options)
	}, stats: limits.Stats{Connections: 1}},
	"NewSession fails": {options: &limits.Options{MaxConnections: 1000}, failing: true},
	"after Close": {
		options: &limits.Options{MaxConnections: 1000}, prepare: func(l *limits.Limiter) { l.Close() },
	},
	"a mistaken function": {
		options: &limits.Options{
			LimitsFor: func(limits.Client) limits.ClientLimits {
				return limits.ClientLimits{MaxLoginsPerIP: -1}
			},
		},
	},
}

// ways are the ways in which a client can keep waiting a server that wants to close its connection.
var ways = map[string]struct {
	overTLS bool
	client  func(conn net.Conn)
}{
	"plain, silent":        {false, func(net.Conn) {}},
	"TLS, silent":          {true, func(net.Conn) {}},
	"TLS, slow":            {true, func(conn net.Conn) { trickle(conn, "\x16\x03\x01\x02\x00") }},
	"TLS, after hello":     {true, func(conn net.Conn) { hello(conn) }},
	"plain, slow":          {false, func(conn net.Conn) { trickle(conn, "a STARTTLS\r\n") }},
	"plain, with STARTTLS": {false, func(conn net.Conn) { io.WriteString(conn, "a STARTTLS\r\n") }},
}

// trickle sends one byte a second, first those of the text.
func trickle(conn net.Conn, text string) {
	for i := 0; ; i++ {
		b := byte(0)
		if i < len(text) {
			b = text[i]
		}
		if _, err := conn.Write([]byte{b}); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// hello begins a TLS handshake and never completes it.
func hello(conn net.Conn) {
	client, server := net.Pipe()
	go tls.Client(client, imaptest.ClientTLS()).Handshake()
	record := make([]byte, 2000)
	n, _ := server.Read(record)
	conn.Write(record[:n])
	client.Close()
	server.Close()
}

// Each refused connection is closed within ten seconds, whatever its client does. Until then it is
// counted.
func TestWhoIsRefusedIsSoonGone(t *testing.T) {
	for doorName, d := range doors {
		for wayName, way := range ways {
			t.Run(doorName+"/"+wayName, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					limiter, dial := d.open(t, way.overTLS)
					before := limiter.Stats().ConnectionsEnding
					conn, start := dial(), time.Now()
					go way.client(conn)
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						io.Copy(io.Discard, conn)
					}()
					synctest.Wait()
					if way.overTLS {
						assert.Equal(t, before+1, limiter.Stats().ConnectionsEnding)
						sessions := limiter.Sessions()
						require.NotEmpty(t, sessions)
						assert.True(t, sessions[len(sessions)-1].Ending)
					}
					<-ended
					assert.LessOrEqual(t, time.Since(start), 10*time.Second)
					conn.Close()
					time.Sleep(11 * time.Second)
					stats := limiter.Stats()
					stats.Refused, stats.Total = limits.Refusals{}, limits.Totals{}
					assert.Equal(t, d.stats, stats)
					assert.Len(t, limiter.Sessions(), d.stats.Connections)
				})
			})
		}
	}
}

// open starts the server, and returns a function that connects to it.
func (d *door) open(t *testing.T, overTLS bool) (*limits.Limiter, func() net.Conn) {
	limiter := limits.New(d.options)
	b := &backend{}
	newSession := b.NewSession
	if d.failing {
		newSession = func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return nil, nil, errors.New("no database")
		}
	}
	server := imapserver.New(&imapserver.Options{
		NewSession: limiter.Wrap(newSession),
		TLSConfig:  imaptest.ServerTLS(),
		Logger:     log.New(io.Discard, "", 0),
	})
	listener := imaptest.Listen()
	if overTLS {
		go server.Serve(tls.NewListener(listener, imaptest.ServerTLS()))
	} else {
		go server.Serve(listener)
	}
	dial := func() net.Conn {
		conn, err := listener.Dial()
		require.NoError(t, err)
		return conn
	}
	t.Cleanup(func() {
		server.Close()
		time.Sleep(time.Minute)
	})
	if d.prepare != nil {
		d.prepare(limiter)
	}
	for range d.stats.Connections {
		dial()
	}
	synctest.Wait()
	return limiter, dial
}

// When refused connections that are still open reach a tenth of MaxConnections, the next one is
// closed without a reason.
func TestTooManyRefusalsAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{MaxConnections: 20, MaxConnectionsPerIP: 1}
		d := door{options: options, stats: limits.Stats{Connections: 1}}
		limiter, dial := d.open(t, true)
		dial()
		dial()
		synctest.Wait()
		assert.Equal(t, 2, limiter.Stats().ConnectionsEnding)
		start := time.Now()
		n, err := dial().Read(make([]byte, 1))
		assert.Zero(t, n)
		assert.ErrorIs(t, err, io.EOF)
		assert.Zero(t, time.Since(start))
		assert.EqualValues(t, 3, limiter.Stats().Refused.ConnectionsPerIP)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Zero(t, limiter.Stats().ConnectionsEnding)
	})
}

// A server that counts at Accept does not count again in NewSession. The place is given back when
// the connection is closed.
func TestAConnectionIsCountedWhenItIsAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := limits.New(&limits.Options{MaxConnectionsPerIP: 2})
		b := &backend{}
		server := imapserver.New(
			&imapserver.Options{NewSession: limiter.Wrap(b.NewSession), InsecureAuth: true},
		)
		listener := imaptest.Listen()
		go server.Serve(&accepting{listener, limiter})
		t.Cleanup(func() { server.Close() })
		dial := func() *imaptest.Conn {
			conn, err := listener.Dial()
			require.NoError(t, err)
			return imaptest.NewConn(t, conn)
		}
		first, second := dial(), dial()
		assert.Contains(t, first.Line(), "* OK ")
		assert.Contains(t, second.Line(), "* OK ")
		assert.Equal(t, 2, limiter.Stats().Connections)
		assert.Equal(t, []string{"* BYE [LIMIT] Too many connections from this address!"}, dial().Rest())
		first.Close()
		synctest.Wait()
		assert.Equal(t, 1, limiter.Stats().Connections)
		limiter.Close()
		assert.Equal(t, []string{"* BYE [UNAVAILABLE] The server is shutting down"}, dial().Rest())
		second.Close()
		synctest.Wait()
		assert.Zero(t, limiter.Stats().Connections)
	})
}

// accepting calls Accept of the limiter for each connection, and writes the BYE itself.
type accepting struct {
	*imaptest.Listener
	limiter *limits.Limiter
}

func (a *accepting) Accept() (net.Conn, error) {
	for {
		conn, err := a.Listener.Accept()
		if err != nil {
			return nil, err
		}
		accepted, err := a.limiter.Accept(conn)
		if err == nil {
			return accepted, nil
		}
		_, text, _ := strings.Cut(err.Error(), "imap: ")
		io.WriteString(conn, "* "+text+"\r\n")
		conn.Close()
	}
}

// stuck is a listener whose connections block every write.
type stuck struct{ *imaptest.Listener }

func (l stuck) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &stuckConn{Conn: conn, closed: make(chan struct{})}, err
}

type stuckConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *stuckConn) Write([]byte) (int, error) {
	<-c.closed
	return 0, net.ErrClosed
}

func (c *stuckConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func TestWhoTakesNotEvenTheBYEIsSoonGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := limits.New(nil)
		limiter.Close()
		b := &backend{}
		server := imapserver.New(&imapserver.Options{
			NewSession: limiter.Wrap(b.NewSession), Logger: log.New(io.Discard, "", 0),
		})
		listener := imaptest.Listen()
		go server.Serve(stuck{listener})
		t.Cleanup(func() { server.Close() })
		conn, err := listener.Dial()
		require.NoError(t, err)
		start := time.Now()
		io.Copy(io.Discard, conn)
		assert.Equal(t, 10*time.Second, time.Since(start))
		synctest.Wait()
		assert.Zero(t, limiter.Stats().ConnectionsEnding)
	})
}
