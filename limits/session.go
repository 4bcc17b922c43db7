package limits

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/keep"
)

// session is a session with limits. What is not locked or atomic belongs to the goroutine that
// serves the connection.
type session struct {
	imapserver.Session
	client

	user     string                     // the key of the user who is logged in, "" if none or not known
	login    *login                     // guarded by logins.mu
	failed   int                        // logins with wrong credentials
	account  account                    // whose mail this is; without a name if not known
	mailbox  mailbox                    // the one that is selected
	exchange *exchange                  // the SASL exchange that goes on, or was broken off
	notice   notice                     // while a SEARCH runs
	ending   atomic.Pointer[imap.Error] // what every further login on this connection gets

	timers    sync.Mutex
	bye       *time.Timer // ends the connection after a refusal
	noLogin   *time.Timer // ends it when LoginTimeout is over
	connected time.Time   // from when LoginTimeout counts
	loggedIn  bool
	closed    bool

	stopsFetch, stopsSearch bool // the backend takes a context

	releaseConnection func()
}

func (l *Limiter) newSession(
	conn *imapserver.Conn, next NewSessionFunc, backend uint64,
) (_ imapserver.Session, _ *imapserver.GreetingData, err error) {
	netConn := conn.NetConn()
	s := &session{connected: time.Now(), account: account{backend: backend}}
	s.activity.end() // silent since it came
	s.limiter, s.conn = l, conn
	s.addr, s.socket = ipOf(netConn.RemoteAddr()), socketOf(netConn)
	s.ip = l.settings.Load().ipKey(s.addr)
	s.identify("")

	if l.closed.Load() {
		s.tellRefusal(Event{Command: commandConnect}, ErrClosed)
		return nil, nil, asGreeting(ErrClosed)
	}
	release, refusal := l.connections.acquire(&s.client)
	admitted := false
	defer func() {
		if admitted || release == nil {
			return
		}
		defer s.release()
		if s.Session != nil {
			// The server does not close a session that came with an error.
			err = errors.Join(err, s.Session.Close())
		}
	}()
	s.releaseConnection = release
	if refusal != nil && s.refuses(Event{Command: commandConnect}, refusal) {
		return nil, nil, refusal
	}
	l.sessions.add(s)
	s.refreshLimits() // SetOptions did not know of this session before
	s.armLoginTimeout()

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
	_, s.stopsFetch = keep.Backend(inner).(ContextFetcher)
	_, s.stopsSearch = keep.Backend(inner).(ContextSearcher)
	admitted = true
	return keep.Optional(s, inner), greeting, nil
}

// preAuth counts the user of a session that is logged in from the start.
func (s *session) preAuth() error {
	attempt, refusal := s.limiter.logins.begin(&s.client, "", s.dryRun())
	if refusal == nil {
		defer attempt.end()
		refusal = s.admit(commandConnect, attempt, "", "")
	}
	if refusal != nil {
		return asGreeting(refusal)
	}
	return nil
}

// Unauthenticate gives back what the user holds. The connection still counts.
func (s *session) Unauthenticate() error {
	if err := s.Session.(imapserver.SessionUnauthenticate).Unauthenticate(); err != nil {
		return err
	}
	s.logout()
	s.identify("")
	s.timers.Lock()
	s.connected, s.loggedIn = time.Now(), false
	s.timers.Unlock()
	s.armLoginTimeout()
	return nil
}

// Close gives everything back, after the session has closed or panicked.
func (s *session) Close() error {
	s.timers.Lock()
	again := s.closed
	s.closed = true
	s.timers.Unlock()
	if again {
		return nil
	}
	defer s.release()
	return s.Session.Close()
}

func (s *session) release() {
	s.stopTimers()
	s.notice.end()
	if s.exchange != nil {
		s.exchange.drop()
	}
	s.logout()
	s.limiter.sessions.remove(s)
	s.releaseConnection()
}

func (s *session) logout() {
	s.limiter.logins.leave(s)
	s.user, s.turn, s.account.name, s.mailbox = "", "", "", mailbox{}
}

func (s *session) dryRun() bool { return s.limiter.settings.Load().DryRun }

// turnKey returns whose turn a session takes in the queues: its user's, or its address's if the
// user is not known, or its own.
func (s *session) turnKey() string {
	switch {
	case s.user != "":
		return "user " + s.user
	case s.ip.IsValid():
		return "network " + s.ip.String()
	default:
		return "connection " + strconv.FormatUint(s.limiter.anonymous.Add(1), 10)
	}
}
