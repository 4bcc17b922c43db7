package limits

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/admission"
	"github.com/imapgate/imapgate/internal/keep"
	"github.com/imapgate/imapgate/internal/layers"
	"github.com/imapgate/imapgate/internal/socket"
)

// newSession counts a connection, and wraps the session that next makes for it. If anything goes
// wrong, the connection is closed within endTimeout.
func (l *Limiter) newSession(
	conn *imapserver.Conn, next NewSessionFunc, backend uint64,
) (_ imapserver.Session, _ *imapserver.GreetingData, err error) {
	s := l.newClient(conn, backend)
	admitted := false
	defer func() {
		if admitted {
			return
		}
		defer s.refuseConnection()
		if s.Session != nil { // the server does not close a session that comes with an error or a panic
			err = errors.Join(err, s.Session.Close())
		}
	}()
	if err := s.connect(); err != nil {
		return nil, nil, err
	}
	l.sessions.add(s.id, s)
	s.refreshLimits() // SetOptions did not see this session until now
	s.armLoginTimeout()
	s.askGuesses()

	inner, greeting, err := next(conn)
	if inner == nil && err == nil {
		err = errors.New("limits: the wrapped NewSession returned neither a session nor an error")
	}
	s.Session = inner
	if err == nil && greeting != nil && greeting.PreAuth {
		err = s.preAuth()
	}
	if err != nil {
		return nil, nil, err
	}
	_, s.stopsFetch = keep.AsContextFetcher(keep.Backend(inner))
	_, s.stopsSearch = keep.AsContextSearcher(keep.Backend(inner))
	admitted = true
	return keep.Optional(s, inner), greeting, nil
}

func (l *Limiter) newClient(conn *imapserver.Conn, backend uint64) *session {
	netConn := conn.NetConn()
	s := &session{connected: time.Now()}
	s.account.backend, s.account.localAddr = backend, addrPort(netConn.LocalAddr())
	s.id = l.lastID.Add(1)
	s.whenLost = s.lost
	s.activity.finish() // its silence begins now
	s.limiter, s.conn = l, conn
	s.remote, s.socket = addrPort(netConn.RemoteAddr()), socket.Of(netConn)
	s.addr = s.remote.Addr()
	s.ip = l.settings.Load().ipKey(s.addr)
	return s
}

// connect counts the connection, or returns the refusal.
func (s *session) connect() error {
	settings := s.limiter.settings.Load()
	if err := s.identify(""); err != nil {
		return err
	}
	if s.limiter.closed.Load() {
		s.refuse(Event{Command: commandConnect}, refusal{limit: limiterClosed})
		return asGreeting(ErrClosed)
	}
	accepted, ok := layers.Find[*acceptedConn](s.conn.NetConn())
	if ok && accepted.limiter == s.limiter {
		accepted.hold()
		s.releaseConnection = accepted.drop
		return nil
	}
	release, err := s.admitConnection(settings)
	s.releaseConnection = release
	return err
}

// admitConnection counts the client's connection, or returns the refusal. Then nothing is counted,
// nor if OnEvent panics.
func (c *client) admitConnection(settings *settings) (release func(), err error) {
	held, r, err := c.count(settings)
	if err != nil {
		return nil, err
	}
	defer func() {
		if release == nil && held != nil {
			held()
		}
	}()
	if r.limit != nil && c.refuse(Event{Command: commandConnect}, r) {
		return nil, r.answer()
	}
	if held == nil { // DryRun was switched on after the count
		held, _ = c.limiter.connections.Acquire(c.ip, admission.CounterLimits{})
	}
	return held, nil
}

// count counts the client's connection, or returns the refusal. The client's limits must have been
// computed since the settings were loaded. If they have changed meanwhile, count decides again:
// after SetOptions nobody is let in by the old ones.
func (c *client) count(settings *settings) (release func(), r refusal, err error) {
	for {
		release, r = c.countBy(settings)
		now := c.limiter.settings.Load()
		if now == settings {
			return release, r, nil
		}
		if release != nil {
			release()
		}
		settings = now
		if err := c.refreshLimits(); err != nil {
			return nil, refusal{}, err
		}
	}
}

func (c *client) countBy(settings *settings) (release func(), r refusal) {
	limits := c.limits.Load()
	bounds := admission.CounterLimits{
		Key: limits.MaxConnectionsPerIP, All: settings.MaxConnections, Force: settings.DryRun,
	}
	if limits.exempt {
		bounds = admission.CounterLimits{}
	}
	release, refused := c.limiter.connections.Acquire(c.ip, bounds)
	switch refused.Reason {
	case admission.KeyFull:
		r = refusal{limit: maxConnectionsPerIP, value: int64(refused.Limit)}
	case admission.AllFull:
		r = refusal{limit: maxConnections, value: int64(refused.Limit)}
	}
	return release, r
}

// preAuth counts the user of a session that is logged in from the start.
func (s *session) preAuth() error {
	attempt := &attempt{Attempt: s.limiter.logins.Ask(s.loginCaller("")), session: s}
	if r := attempt.Refusal; r.Is() {
		refused := loginRefusal(r)
		s.refuse(Event{Command: commandConnect}, refused)
		return asGreeting(refused.answer())
	}
	defer attempt.End()
	var refused *imap.Error
	if err := s.admit(commandConnect, attempt, "", ""); errors.As(err, &refused) {
		return asGreeting(refused)
	} else if err != nil {
		return err
	}
	return nil
}

// refuseConnection gives back what a refused connection holds, and makes sure that it is closed
// soon. The server still writes the refusal, which may need a TLS handshake first, and the server
// sets no deadline for that. When too many refused connections are open, this one is closed at
// once.
func (s *session) refuseConnection() {
	s.release()
	l, conn := s.limiter, s.conn.NetConn()
	release, tooMany := l.ending.Acquire(netip.Prefix{}, admission.CounterLimits{
		All: (l.settings.Load().MaxConnections + 9) / 10,
	})
	if tooMany.Is() {
		abort(conn)
		return
	}
	s.timers.Lock()
	s.endsBy = time.Now().Add(endTimeout)
	s.timers.Unlock()
	l.sessions.add(s.id, s)
	var look func()
	pause := 10 * time.Millisecond
	look = func() {
		// The deadline stops a handshake. It also shows whether the connection is already closed: then
		// setting it fails.
		if time.Now().Before(s.endsBy) && layers.Innermost(conn).SetReadDeadline(s.endsBy) == nil {
			pause = min(2*pause, time.Second)
			time.AfterFunc(min(pause, time.Until(s.endsBy)), look)
			return
		}
		abort(conn)
		l.sessions.remove(s.id)
		release()
	}
	look()
}

// Accept counts a connection before anything is read from it, so before TLS. A session made for the
// returned connection, or for one around it, is not counted again. Close of the returned connection
// gives the place back. Accept waits for conn.RemoteAddr(), and until then counts the connection
// without an address. The error is an [*imap.Error] of type BYE, and the caller must still close
// conn.
func (l *Limiter) Accept(conn net.Conn) (net.Conn, error) {
	c := &client{limiter: l, remote: addrPort(l.addrOf(conn))}
	c.addr = c.remote.Addr()
	settings := l.settings.Load()
	c.ip = settings.ipKey(c.addr)
	_, encrypted := layers.Find[*tls.Conn](conn)
	c.identity.Store(&identity{tls: encrypted})
	if err := c.refreshLimits(); err != nil {
		return nil, err
	}
	if l.closed.Load() {
		c.refuse(Event{Command: commandConnect}, refusal{limit: limiterClosed})
		return nil, asGreeting(ErrClosed)
	}
	release, err := c.admitConnection(settings)
	if err != nil {
		return nil, err
	}
	accepted := &acceptedConn{Conn: conn, limiter: l, release: release}
	accepted.holders.Store(1)
	return accepted, nil
}

// addrOf returns the address of a connection, and counts the connection until it has it. Behind a
// proxy it comes only with the proxy's header.
func (l *Limiter) addrOf(conn net.Conn) net.Addr {
	release, _ := l.connections.Acquire(netip.Prefix{}, admission.CounterLimits{})
	defer release()
	return conn.RemoteAddr()
}

// acceptedConn is a connection that Accept has counted. It counts until it is closed and its
// session is closed: a command may still run after the client is gone.
type acceptedConn struct {
	net.Conn
	limiter *Limiter
	release func()       // gives the place back
	holders atomic.Int32 // the connection and its sessions
	closed  atomic.Bool
}

func (c *acceptedConn) hold() { c.holders.Add(1) }

func (c *acceptedConn) drop() {
	if c.holders.Add(-1) == 0 {
		c.release()
	}
}

// NetConn returns the wrapped connection.
func (c *acceptedConn) NetConn() net.Conn { return c.Conn }

func (c *acceptedConn) Close() error {
	if !c.closed.Swap(true) {
		defer c.drop()
	}
	return c.Conn.Close()
}
