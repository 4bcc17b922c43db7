// Package imaptest runs a real go-imap server for tests, on connections in memory that work inside
// a [testing/synctest] bubble, and speaks to it line by line, as a client that does not follow the
// rules would.
package imaptest

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"net"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate/internal/memconn"
)

// NewSessionFunc is what an [imapserver.Server] calls for each connection.
type NewSessionFunc = func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error)

// Server is an IMAP server whose clients are in the same process.
type Server struct {
	t        testing.TB
	listener *listener
	server   Runner
	log      syncBuffer
	closed   sync.Once
	served   chan struct{}
}

// NewServer starts a server with the options, which are those of go-imap; without a Logger its
// messages are kept for [Server.Log]. The server is closed when the test ends.
func NewServer(t testing.TB, options *imapserver.Options) *Server {
	s := &Server{}
	withLog := *options
	if withLog.Logger == nil {
		withLog.Logger = log.New(&s.log, "", 0)
	}
	s.run(t, imapserver.New(&withLog))
	return s
}

// Runner is a server of any kind.
type Runner interface {
	Serve(ln net.Listener) error
	Close() error
}

// Run starts a server that [NewServer] cannot make. It is closed when the test ends.
func Run(t testing.TB, server Runner) *Server {
	s := &Server{}
	s.run(t, server)
	return s
}

func (s *Server) run(t testing.TB, server Runner) {
	s.t, s.listener, s.server, s.served = t, newListener(), server, make(chan struct{})
	go func() {
		defer close(s.served)
		s.server.Serve(s.listener)
	}()
	t.Cleanup(s.Close)
}

// Serve starts a server that lets clients log in without TLS, with the capabilities of
// [imapmemserver].
func Serve(t testing.TB, newSession NewSessionFunc) *Server {
	return NewServer(t, &imapserver.Options{
		NewSession:   newSession,
		InsecureAuth: true,
		Caps:         MemoryCaps(),
	})
}

// Close closes the server and all its connections. It may be called again.
func (s *Server) Close() {
	s.closed.Do(func() {
		s.listener.Close()
		<-s.served
		s.server.Close()
	})
}

// Log returns what the server has logged: panics of sessions among it.
func (s *Server) Log() string { return s.log.String() }

// DialFrom connects from an address such as "192.0.2.1" or "2001:db8::1". The empty address stands
// for a connection without IP addresses, such as a Unix socket's.
func (s *Server) DialFrom(address string) net.Conn {
	conn, err := s.listener.dial(address)
	if err != nil {
		s.t.Errorf("dial: %v", err)
		closed, _ := memconn.Pipe(nil, nil)
		closed.Close()
		return closed
	}
	return conn
}

// Dial connects from 192.0.2.1, without reading the greeting.
func (s *Server) Dial() *Conn { return NewConn(s.t, s.DialFrom("192.0.2.1")) }

// Login connects, reads the greeting and logs in; it reports an error of the test when that fails.
func (s *Server) Login(username, password string) *Conn {
	s.t.Helper()
	c := s.Dial()
	c.Line()
	if answer := c.Cmd("login LOGIN " + username + " " + password); !IsOK(answer) {
		s.t.Errorf("login as %s: %q", username, answer)
	}
	return c
}

// Client connects from 192.0.2.1 with go-imap's own client, which is closed when the test ends.
func (s *Server) Client(options *imapclient.Options) *imapclient.Client {
	client := imapclient.New(s.DialFrom("192.0.2.1"), options)
	s.t.Cleanup(func() { client.Close() })
	return client
}

// MemoryCaps returns the capabilities that [imapmemserver] supports.
func MemoryCaps() imap.CapSet {
	return imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}}
}

// Memory returns the NewSession function of an [imapmemserver] with these users, whose password is
// "pass" and who have an INBOX each.
func Memory(users ...*imapmemserver.User) NewSessionFunc {
	server := imapmemserver.New()
	for _, user := range users {
		server.AddUser(user)
	}
	return func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return server.NewSession(), nil, nil
	}
}

// User returns a user of an [imapmemserver], with the password "pass" and the given mailboxes
// besides INBOX.
func User(name string, mailboxes ...string) *imapmemserver.User {
	user := imapmemserver.NewUser(name, "pass")
	for _, mailbox := range append([]string{"INBOX"}, mailboxes...) {
		if err := user.Create(mailbox, nil); err != nil {
			panic(fmt.Sprintf("imaptest: create %q: %v", mailbox, err))
		}
	}
	return user
}

// listener hands the server the connections that dial made.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

var _ net.Listener = (*listener)(nil)

func newListener() *listener {
	return &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *listener) dial(address string) (net.Conn, error) {
	var from, to net.Addr = &net.UnixAddr{Net: "unix"}, &net.UnixAddr{Net: "unix", Name: "/imap"}
	if address != "" {
		ip := net.ParseIP(address)
		if ip == nil {
			return nil, errors.New("not an IP address: " + address)
		}
		from, to = &net.TCPAddr{
			IP:   ip,
			Port: 50000,
		}, &net.TCPAddr{
			IP:   net.IPv4(192, 0, 2, 143),
			Port: 143,
		}
	}
	client, server := memconn.Pipe(from, to)
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 143), Port: 143} }

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
