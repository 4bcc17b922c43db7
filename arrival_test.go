package imapgate_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// proxied is a connection that sends its address in its first line. RemoteAddr waits for that line.
type proxied struct {
	net.Conn
	reader *bufio.Reader
	header func() netip.AddrPort
}

func newProxied(conn net.Conn) net.Conn {
	p := &proxied{Conn: conn, reader: bufio.NewReaderSize(conn, 64)}
	p.header = sync.OnceValue(func() netip.AddrPort {
		line, _ := p.reader.ReadString('\n')
		address, _ := netip.ParseAddr(strings.TrimSpace(line))
		return netip.AddrPortFrom(address, 50000)
	})
	return p
}

func (p *proxied) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.header()) }

func (p *proxied) Read(b []byte) (int, error) {
	p.header()
	return p.reader.Read(b)
}

// behindProxy is one way to serve a listener whose connections are proxied.
type behindProxy struct {
	t       *testing.T
	memory  *imaptest.Listener
	limiter *limits.Limiter
	server  *imapgate.Server // nil with NewListener
	close   func()
	secure  bool
}

// waysBehindProxy are all ways to do so. Each works without TLS and with it.
var waysBehindProxy = map[string]func(*testing.T, *limits.Options, bool) *behindProxy{
	"NewServer": serverBehindProxy, "NewListener": listenerBehindProxy,
}

func serverBehindProxy(t *testing.T, options *limits.Options, secure bool) *behindProxy {
	server, err := imapgate.NewServer(&imapgate.Options{
		Server: imapserver.Options{
			NewSession: imaptest.Memory(imaptest.User("karen")), InsecureAuth: true,
		},
		Limits: options,
	})
	require.NoError(t, err)
	b := &behindProxy{
		t: t, memory: imaptest.Listen(), limiter: server.Limiter(), server: server, secure: secure,
	}
	go server.Serve(b.listener())
	b.close = func() { server.Close() }
	return b
}

func listenerBehindProxy(t *testing.T, options *limits.Options, secure bool) *behindProxy {
	limiter := limits.New(options)
	server := imapserver.New(&imapserver.Options{
		NewSession: limiter.Wrap(imaptest.Memory(imaptest.User("karen"))), InsecureAuth: true,
	})
	b := &behindProxy{t: t, memory: imaptest.Listen(), limiter: limiter, secure: secure}
	go server.Serve(imapgate.NewListener(b.listener(), limiter, idle.On))
	b.close = func() {
		limiter.Close()
		server.Close()
	}
	return b
}

func (b *behindProxy) listener() net.Listener {
	var ln net.Listener = &wrapping{b.memory, newProxied}
	if b.secure {
		ln = tls.NewListener(ln, imaptest.ServerTLS())
	}
	return ln
}

// dial connects and sends the address, unless that is "".
func (b *behindProxy) dial(address string) net.Conn {
	conn, err := b.memory.Dial()
	require.NoError(b.t, err)
	if address != "" {
		conn.Write([]byte(address + "\n"))
	}
	return conn
}

// greeted returns the first line that the server sends to a client at the address.
func (b *behindProxy) greeted(address string) string {
	conn := b.dial(address)
	if b.secure {
		conn = tls.Client(conn, imaptest.ClientTLS())
	}
	return imaptest.NewConn(b.t, conn).Line()
}

// ends waits until the server closes the connection, and asserts that it sends nothing.
func (b *behindProxy) ends(conn net.Conn) {
	n, err := conn.Read(make([]byte, 1))
	assert.Zero(b.t, n)
	assert.Error(b.t, err)
	conn.Close()
}

func eachWayBehindProxy(
	t *testing.T, options *limits.Options, test func(t *testing.T, b *behindProxy),
) {
	for name, way := range waysBehindProxy {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS=%v", name, secure), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := way(t, options, secure)
					test(t, b)
					b.close()
					synctest.Wait()
					assert.Zero(t, b.limiter.Stats().Connections)
				})
			})
		}
	}
}

// A connection whose address is not known yet delays no other. It counts as a connection, and is
// closed after 10 s.
func TestAHeaderThatDoesNotCome(t *testing.T) {
	options := &limits.Options{MaxConnectionsPerIP: 1}
	eachWayBehindProxy(t, options, func(t *testing.T, b *behindProxy) {
		start := time.Now()
		silent, half := b.dial(""), b.dial("")
		half.Write([]byte("203.0.113"))
		assert.Contains(t, b.greeted("203.0.113.7"), "* OK")
		const tooMany = "* BYE [LIMIT] Too many connections from this address!"
		assert.Equal(t, tooMany, b.greeted("203.0.113.7"))
		assert.Contains(t, b.greeted("203.0.113.8"), "* OK")
		assert.Zero(t, time.Since(start))
		synctest.Wait()
		assert.Equal(t, 4, b.limiter.Stats().Connections)

		late := b.dial("")
		time.AfterFunc(9*time.Second, func() { late.Write([]byte("203.0.113.9\n")) })
		b.ends(silent)
		b.ends(half)
		assert.Equal(t, 10*time.Second, time.Since(start))
		synctest.Wait()
		assert.Equal(t, 3, b.limiter.Stats().Connections, "those that are let in, the late one too")
	})
}

// Only a thousand connections without a header are kept at once, and other clients still get in.
func TestManyHeadersThatDoNotCome(t *testing.T) {
	eachWayBehindProxy(t, limits.DefaultOptions(), func(t *testing.T, b *behindProxy) {
		var silent []net.Conn
		for i := range 3000 {
			silent = append(silent, b.dial(""))
			if i%1000 == 999 {
				assert.Contains(t, b.greeted("203.0.113.7"), "* OK")
				synctest.Wait()
				assert.Less(t, b.limiter.Stats().Connections, 1010)
			}
		}
		start := time.Now()
		for _, conn := range silent {
			b.ends(conn)
		}
		assert.Equal(t, 10*time.Second, time.Since(start))
		synctest.Wait()
		assert.Equal(t, 3, b.limiter.Stats().Connections)
	})
}

// Close and Shutdown do not wait for headers.
func TestCloseDoesNotWaitForHeaders(t *testing.T) {
	for _, end := range []func(*behindProxy){
		func(b *behindProxy) { b.close() },
		func(b *behindProxy) {
			if b.server != nil {
				assert.NoError(b.t, b.server.Shutdown(context.Background()))
			}
			b.close()
		},
	} {
		eachWayBehindProxy(t, nil, func(t *testing.T, b *behindProxy) {
			start := time.Now()
			silent := b.dial("")
			synctest.Wait()
			end(b)
			b.ends(silent)
			assert.Zero(t, time.Since(start))
		})
	}
}

// A panic of a callback ends its connection, as it does where go-imap catches it, and not the
// program.
func TestACallbackThatPanicsWhenAConnectionArrives(t *testing.T) {
	for name, serve := range waysBehindProxy {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := serve(t, &limits.Options{
					MaxConnectionsPerIP: 1, OnEvent: func(limits.Event) { panic("OnEvent is broken") },
				}, false)
				defer b.close()
				assert.Contains(t, b.greeted("192.0.2.1"), "* OK ")
				assert.Equal(t, "* BYE Internal server error", b.greeted("192.0.2.1"))
				assert.Contains(t, b.greeted("192.0.2.2"), "* OK ")
				assert.Equal(t, 2, b.limiter.Stats().Connections)
			})
		})
	}
}
