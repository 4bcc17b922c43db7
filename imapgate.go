package imapgate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/wire"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

// A Server is go-imap's server with the packages of this module around every session, and with a
// guard in front that reads what clients send before go-imap does. It is safe for concurrent use.
//
// The guard bounds what a client can cost. Before login only the commands of RFC 9051 sections 6.1
// and 6.2 and ID reach go-imap, and a TLS handshake has 10 s. After login it limits the size of
// commands and the depth of a SEARCH. See MaxLoginBytes, MaxCommandBytes and MaxSearchDepth of
// [limits.Options]. What go-imap says passes unchanged, except for IDLE where it is hidden, and an
// empty SASL challenge. Nothing of a command that go-imap has given up is taken for another one: a
// literal that it refuses is dropped, and a client that stalls in a command loses its connection.
//
// The guard does TLS itself. So go-imap runs without a TLSConfig and with InsecureAuth, and the
// guard refuses logins without encryption, as Options.Server says. A backend that needs the
// [crypto/tls.Conn], for example for the client's certificate, gets it by calling NetConn on what
// [imapserver.Conn.NetConn] returns.
type Server struct {
	options  imapserver.Options
	server   *imapserver.Server
	guard    *wire.Guard
	limiter  *limits.Limiter
	packages atomic.Pointer[packages]

	setting sync.Mutex        // held while options are set, so that all are those of one call
	history *vfolders.History // the last one

	mu        sync.Mutex
	listeners map[*serving]struct{}
	closed    bool
}

// serving is a listener that go-imap serves. Its server must not be closed before it has begun to
// accept, because until then Serve and Close of go-imap race for a WaitGroup.
type serving struct {
	net.Listener
	once  sync.Once
	begun chan struct{} // closed when it has begun to accept
}

func (l *serving) Accept() (net.Conn, error) {
	l.once.Do(func() { close(l.begun) })
	return l.Listener.Accept()
}

// packages are the packages that wrap a new session, except limits.
type packages struct {
	newSession limits.NewSessionFunc
	hidesIdle  bool
}

// NewServer returns a server with a copy of the options. The error names the wrong field and its
// value.
func NewServer(options *Options) (*Server, error) {
	if options == nil {
		return nil, errors.New("imapgate: the options are nil")
	}
	if err := options.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		options:   options.Server,
		limiter:   limits.New(options.limits()),
		listeners: make(map[*serving]struct{}),
	}
	s.wrap(options)
	config := wire.Config{
		Terminates:   true,
		StartTLS:     options.Server.TLSConfig,
		InsecureAuth: options.Server.InsecureAuth,
		HideIdle:     func() bool { return s.packages.Load().hidesIdle },
	}
	if logger := options.Server.Logger; logger != nil {
		config.Logf = logger.Printf
	}
	s.guard = wire.New(guardOf(s.limiter, config))
	inner := options.Server
	inner.TLSConfig, inner.InsecureAuth = nil, true
	inner.NewSession = s.limiter.Wrap(s.newSession)
	s.server = imapserver.New(&inner)
	return s, nil
}

// wrap puts the packages around the backend. It applies to new sessions.
func (s *Server) wrap(options *Options) {
	newSession := s.options.NewSession
	if options.Copy != nil {
		newSession = copymeta.Wrap(newSession, options.Copy)
	}
	if options.Folders != nil {
		newSession = vfolders.Wrap(newSession, s.withHistory(*options.Folders))
	}
	newSession = idle.Wrap(newSession, options.Idle)
	s.packages.Store(&packages{newSession, options.hidesIdle()})
}

// withHistory returns the options with a History: theirs, or else the last one.
func (s *Server) withHistory(folders vfolders.Options) *vfolders.Options {
	switch {
	case folders.History != nil:
		s.history = folders.History
	case s.history == nil:
		s.history = new(vfolders.History)
	}
	folders.History = s.history
	return &folders
}

func (s *Server) newSession(
	conn *imapserver.Conn,
) (imapserver.Session, *imapserver.GreetingData, error) {
	return s.packages.Load().newSession(conn)
}

// SetOptions replaces the options of the packages. Limits apply at once, also to clients that are
// connected; the others apply to new connections. It ignores Options.Server. What a package counts
// over all sessions, such as MaxPerUser of idle, starts from zero for the new connections. But
// virtual folders have the History that they had, unless Folders has another one. The error is that
// of [NewServer]; then nothing has changed.
func (s *Server) SetOptions(options *Options) error {
	if options == nil {
		return errors.New("imapgate: the options are nil")
	}
	if err := options.validatePackages(); err != nil {
		return err
	}
	s.setting.Lock()
	defer s.setting.Unlock()
	if err := s.limiter.SetOptions(options.limits()); err != nil {
		return err
	}
	s.wrap(options)
	return nil
}

// Limiter returns the limiter of the sessions, for its Stats and Sessions.
func (s *Server) Limiter() *limits.Limiter { return s.limiter }

// Serve accepts connections until the server or the listener is closed, and then returns nil. The
// listener is a plain one, one of [crypto/tls.NewListener], or one whose connections have a NetConn
// method that leads to a [crypto/tls.Conn]. A connection whose RemoteAddr waits for the header of a
// proxy has 10 s, and delays no other connection. A listener of [NewListener] is an error.
func (s *Server) Serve(ln net.Listener) error {
	if wire.Guarded(ln) {
		return errors.New("imapgate: Serve needs the listener below NewListener")
	}
	guarded := &serving{Listener: s.guard.Listen(ln), begun: make(chan struct{})}
	if !s.add(guarded) {
		ln.Close()
		return errClosed
	}
	defer s.remove(guarded)
	return s.server.Serve(guarded)
}

var errClosed = errors.New("imapgate: the server is closed")

func (s *Server) add(ln *serving) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.listeners[ln] = struct{}{}
	}
	return !s.closed
}

func (s *Server) remove(ln *serving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ln)
}

// lastWords is how long clients that waited have to read their answers after the deadline.
const lastWords = time.Second

// Shutdown stops the server and lets commands complete. No client gets in and no new command
// starts. Commands that run or queue are completed, also APPEND and COPY; their clients then read
// "* BYE [UNAVAILABLE] The server is shutting down". All others, also those in IDLE, read it at
// once. It returns nil when the last connection is closed. Serve returns before that: the program
// must not end then.
//
// If ctx is done first, Shutdown does what Close does and returns the error of ctx. But commands
// that queue, or whose backend takes a context, have one more second to be answered.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closeListeners()
	err := s.drain(ctx)
	if err != nil {
		s.limiter.Close()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
		defer cancel()
		s.drain(last)
	}
	return errors.Join(err, s.Close())
}

// drain waits until all connections and their sessions are closed.
func (s *Server) drain(ctx context.Context) error {
	if err := s.guard.Drain(ctx, byeText); err != nil {
		return err
	}
	ticker := time.NewTicker(closeInterval)
	defer ticker.Stop()
	for len(s.limiter.Sessions()) > 0 {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// closeInterval is how often drain checks whether the last sessions are closed. Their connections
// are closed already, so this takes little time.
const closeInterval = 10 * time.Millisecond

// byeText is the text of ErrClosed of limits.
var byeText = fmt.Sprintf("[%s] %s", limits.ErrClosed.Code, limits.ErrClosed.Text)

// Close closes the listeners and the connections at once. Clients read no BYE, and what they have
// sent may be lost; [Server.Shutdown] avoids both. It may be called again.
func (s *Server) Close() error {
	s.closeListeners()
	s.limiter.Close()
	s.guard.CloseAll() // go-imap closes one after the other, and holds a lock meanwhile
	s.server.Close()   // the listeners are closed, and nothing else can fail
	return nil
}

func (s *Server) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for ln := range s.listeners {
		ln.Close()
		<-ln.begun
	}
}
