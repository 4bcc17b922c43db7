package limits_test

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// layered is a layer around a connection that hides it, like a proxy protocol or compression.
type layered struct{ net.Conn }

func (c layered) NetConn() net.Conn { return c.Conn }

type layeredListener struct{ net.Listener }

func (l *layeredListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return layered{layered{conn}}, err
}

// listenTCP serves the limiter and the backend on a loopback socket.
func listenTCP(
	t *testing.T, wrap func(net.Listener) net.Listener, newSession limits.NewSessionFunc,
) (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := imapserver.New(&imapserver.Options{
		NewSession:   newSession,
		TLSConfig:    imaptest.ServerTLS(),
		InsecureAuth: true,
		Logger:       log.New(io.Discard, "", 0),
	})
	go server.Serve(wrap(listener))
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String()
}

func plain(l net.Listener) net.Listener { return l }

// A waiting command is dropped from the queue and never runs if its client hangs up, in any way.
func TestAWaitingCommandLeavesWhenItsClientHangsUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	dialPlain := func(t *testing.T, address string) (*net.TCPConn, *imaptest.Conn) {
		c := imaptest.DialTCP(t, address)
		return c.Conn.(*net.TCPConn), c
	}
	dialTLS := func(t *testing.T, address string) (*net.TCPConn, *imaptest.Conn) {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		c := imaptest.NewConn(t, tls.Client(conn, imaptest.ClientTLS()))
		c.Line()
		return conn.(*net.TCPConn), c
	}
	startTLS := func(t *testing.T, address string) (*net.TCPConn, *imaptest.Conn) {
		conn, c := dialPlain(t, address)
		assert.True(t, imaptest.IsOK(c.Cmd("s STARTTLS")))
		return conn, imaptest.NewConn(t, tls.Client(conn, imaptest.ClientTLS()))
	}
	overTLS := func(l net.Listener) net.Listener { return tls.NewListener(l, imaptest.ServerTLS()) }
	overLayers := func(l net.Listener) net.Listener { return &layeredListener{l} }
	fin := func(tcp *net.TCPConn, c *imaptest.Conn) { c.Close() }
	halfClose := func(tcp *net.TCPConn, c *imaptest.Conn) { tcp.CloseWrite() }
	rst := func(tcp *net.TCPConn, c *imaptest.Conn) {
		tcp.SetLinger(0)
		tcp.Close()
	}
	unread := func(tcp *net.TCPConn, c *imaptest.Conn) {
		c.Send("y NOOP", "z FETCH 1 FLAGS")
		c.Close()
	}

	for name, test := range map[string]struct {
		wrap   func(net.Listener) net.Listener
		dial   func(*testing.T, string) (*net.TCPConn, *imaptest.Conn)
		hangUp func(*net.TCPConn, *imaptest.Conn)
	}{
		"FIN":                 {plain, dialPlain, fin},
		"half close":          {plain, dialPlain, halfClose},
		"RST":                 {plain, dialPlain, rst},
		"bytes unread":        {plain, dialPlain, unread},
		"TLS":                 {overTLS, dialTLS, fin},
		"TLS, RST":            {overTLS, dialTLS, rst},
		"TLS, bytes unread":   {overTLS, dialTLS, unread},
		"STARTTLS":            {plain, startTLS, fin},
		"layers":              {overLayers, dialPlain, fin},
		"layers and STARTTLS": {overLayers, startTLS, unread},
		"TLS over layers, RST": {
			func(l net.Listener) net.Listener { return overTLS(overLayers(l)) }, dialTLS, rst,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			running, finish := make(chan struct{}), make(chan struct{})
			b := &backend{fetch: func(string) error {
				running <- struct{}{}
				<-finish
				return nil
			}}
			left := make(chan limits.Event, 10)
			limiter := limits.New(&limits.Options{
				MaxFetches: 1, FetchQueueTimeout: time.Hour,
				OnEvent: func(e limits.Event) { left <- e },
			})
			address := listenTCP(t, test.wrap, limiter.Wrap(b.NewSession))

			_, first := test.dial(t, address)
			first.Cmd("a LOGIN karen pass")
			first.Cmd("b SELECT INBOX")
			first.Send("x FETCH 1 FLAGS")
			<-running

			tcp, second := test.dial(t, address)
			second.Cmd("a LOGIN karen pass")
			second.Cmd("b SELECT INBOX")
			second.Send("x FETCH 1 FLAGS")
			test.hangUp(tcp, second)

			event := <-left
			assert.Equal(t, limits.EventLeft, event.Kind)
			assert.Equal(t, "FETCH", event.Command)
			close(finish)
			assert.True(t, imaptest.IsOK(first.Answer("x")))
			assert.EqualValues(t, 1, b.fetches.Load())
			assert.Zero(t, limiter.Stats().FetchesWaiting)
		})
	}
}

// The first login from an address makes other logins of that user and address wait. One that hangs
// up is not checked.
func TestAWaitingLoginLeavesWhenItsClientHangsUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	checking, finish := make(chan struct{}), make(chan struct{})
	b := &backend{login: func(string, string) error {
		checking <- struct{}{}
		<-finish
		return nil
	}}
	left := make(chan limits.Event, 1)
	limiter := limits.New(
		&limits.Options{MaxLoginsPerUser: 5, OnEvent: func(e limits.Event) { left <- e }},
	)
	address := listenTCP(t, plain, limiter.Wrap(b.NewSession))
	dial := func() *imaptest.Conn {
		c := imaptest.DialTCP(t, address)
		c.Send("a LOGIN karen pass")
		return c
	}
	first := dial()
	<-checking
	dial().Close()
	event := <-left
	assert.Equal(t, limits.EventLeft, event.Kind)
	assert.Equal(t, "LOGIN", event.Command)
	assert.Less(t, event.Waited, 30*time.Second)
	close(finish)
	assert.Contains(t, first.Line(), "a OK")
	assert.EqualValues(t, 1, b.checks.Load())
}

func TestALoginThatWaitsForAClusterLeavesWhenItsClientHangsUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	b := &backend{}
	left := make(chan limits.Event, 1)
	limiter := limits.New(&limits.Options{
		MaxGuessDelay: 15 * time.Second, Cluster: &silentStore{},
		OnEvent: func(e limits.Event) { left <- e },
	})
	c := imaptest.DialTCP(t, listenTCP(t, plain, limiter.Wrap(b.NewSession)))
	c.Send("a LOGIN karen pass")
	c.Close()
	event := <-left
	assert.Equal(t, limits.EventLeft, event.Kind)
	assert.Equal(t, "LOGIN", event.Command)
	assert.Zero(t, b.checks.Load())
}

// The server's own Close does not wake a waiting command, but the command notices that the socket
// is closed.
func TestAWaitingCommandLeavesWhenTheServerClosesItsConnection(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	running, finish := make(chan struct{}), make(chan struct{})
	b := &backend{search: func(string) error {
		running <- struct{}{}
		<-finish
		return nil
	}}
	left := make(chan limits.Event, 1)
	limiter := limits.New(&limits.Options{MaxSearches: 1, OnEvent: func(e limits.Event) { left <- e }})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := imapserver.New(&imapserver.Options{
		NewSession: limiter.Wrap(b.NewSession), InsecureAuth: true, Logger: log.New(io.Discard, "", 0),
	})
	go server.Serve(listener)
	dial := func() {
		c := imaptest.DialTCP(t, listener.Addr().String())
		c.Cmd("a LOGIN karen pass")
		c.Cmd("b SELECT INBOX")
		c.Send("x SEARCH ALL")
	}
	dial()
	<-running
	dial()
	for limiter.Stats().SearchesWaiting == 0 {
		runtime.Gosched()
	}
	server.Close()
	assert.Equal(t, limits.EventLeft, (<-left).Kind)
	close(finish)
	assert.EqualValues(t, 1, b.searches.Load())
}

// Without a socket nobody knows whether the client is still there: the command waits for its turn
// or its timeout.
func TestAConnectionThatLoopsOrHidesItsSocketStillWorks(t *testing.T) {
	b := &backend{}
	limiter := limits.New(limits.DefaultOptions())
	address := listenTCP(
		t, func(l net.Listener) net.Listener { return &loopListener{l} }, limiter.Wrap(b.NewSession),
	)
	c := imaptest.DialTCP(t, address)
	assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass")))
}

type loopConn struct{ net.Conn }

func (c *loopConn) NetConn() net.Conn { return c }

type loopListener struct{ net.Listener }

func (l *loopListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &loopConn{conn}, err
}

// A backend may notice itself that the client of a SEARCH is gone, and fail. Other clients that
// want the answer still get it.
func TestASharedSearchRunsAgainWhenItsRunnerHungUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	var runs atomic.Int64
	began, broken := make(chan struct{}, 2), make(chan struct{})
	b := &backend{search: func(string) error {
		began <- struct{}{}
		if runs.Add(1) == 1 {
			<-broken
			return errors.New("the client is gone")
		}
		return nil
	}}
	options := &limits.Options{ShareSearches: true, JoinRunning: true}
	limiter := limits.New(options)
	address := listenTCP(t, plain, limiter.Wrap(b.NewSession))
	search := func() *imaptest.Conn {
		c := imaptest.DialTCP(t, address)
		c.Cmd("a LOGIN karen pass")
		c.Cmd("b SELECT INBOX")
		c.Send("x UID SEARCH SEEN")
		return c
	}
	first := search()
	<-began
	second := search()
	for limiter.Stats().SearchesJoined == 0 {
		runtime.Gosched()
	}
	first.Close()
	close(broken)
	assert.True(t, imaptest.IsOK(second.Answer("x")))
	assert.EqualValues(t, 2, runs.Load())
}
