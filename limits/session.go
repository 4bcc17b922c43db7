package limits

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/keep"
)

// session is a session with limits. Its fields belong to the goroutine that serves the connection.
type session struct {
	imapserver.Session
	limiter *Limiter
	conn    *imapserver.Conn
	addr    netip.Addr
	ip      netip.Prefix // what addr is counted as
	socket  *socket      // taken when the connection was new: after STARTTLS it may not be found any more

	user    string      // the key of the user who is logged in, "" if none or not known
	turn    string      // the key of whose turn it takes in the queues
	failed  int         // logins with wrong credentials
	refused *imap.Error // what every further login on this connection gets, if not nil
	bye     *time.Timer

	releaseLogin      func() // nil if not logged in
	releaseConnection func()
	closed            atomic.Bool
}

func (l *Limiter) newSession(conn *imapserver.Conn, next NewSessionFunc) (_ imapserver.Session, _ *imapserver.GreetingData, err error) {
	options := l.options.Load()
	netConn := conn.NetConn()
	s := &session{limiter: l, conn: conn, addr: ipOf(netConn.RemoteAddr()), socket: socketOf(netConn)}
	s.ip = options.ipKey(s.addr)

	if l.closed.Load() {
		s.tellRefusal(Event{Command: commandConnect}, ErrClosed)
		return nil, nil, asGreeting(ErrClosed)
	}
	release, refusal := l.connections.acquire(s.ip)
	if refusal != nil {
		s.tellRefusal(Event{Command: commandConnect}, refusal)
		return nil, nil, refusal
	}
	s.releaseConnection = release
	admitted := false
	defer func() {
		if !admitted {
			s.release()
		}
	}()

	inner, greeting, err := next(conn)
	if inner == nil && err == nil {
		err = errors.New("limits: the wrapped NewSession returned neither a session nor an error")
	}
	if err == nil && greeting != nil && greeting.PreAuth {
		s.Session = inner
		err = s.preAuth()
	}
	if err != nil {
		if inner != nil {
			// The server does not close a session that came with an error.
			err = errors.Join(err, inner.Close())
		}
		return nil, nil, err
	}
	s.Session = inner
	admitted = true
	return keep.Optional(s, inner), greeting, nil
}

// preAuth counts the user of a session that is logged in from the start.
func (s *session) preAuth() error {
	attempt, refusal := s.limiter.logins.begin(loginKey{ip: s.ip}, s.socket)
	if refusal == nil {
		defer attempt.end()
		refusal = s.admit(attempt, "")
	}
	if refusal != nil {
		s.tellRefusal(Event{Command: commandConnect}, refusal)
		return asGreeting(refusal)
	}
	return nil
}

// Fetch runs the FETCH when there is a slot for it.
func (s *session) Fetch(w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions) error {
	slot, refusal := s.enter(&s.limiter.fetches, commandFetch)
	if refusal != nil {
		return refusal
	}
	defer slot.release()
	return s.Session.Fetch(w, numSet, options)
}

// Search runs the SEARCH when there is a slot for it.
func (s *session) Search(kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions) (*imap.SearchData, error) {
	slot, refusal := s.enter(&s.limiter.searches, commandSearch)
	if refusal != nil {
		return nil, refusal
	}
	defer slot.release()
	return s.Session.Search(kind, criteria, options)
}

func (s *session) enter(g *gate, command string) (slot, *imap.Error) {
	slot, refusal := g.acquire(s.turn, s.socket)
	if refusal != nil {
		s.tellRefusal(Event{Command: command, User: s.user, Waited: slot.waited}, refusal)
	} else if slot.waited > 0 {
		s.tell(Event{Kind: Admitted, Command: command, User: s.user, Waited: slot.waited})
	}
	return slot, refusal
}

// Unauthenticate gives back what the user holds. The connection still counts.
func (s *session) Unauthenticate() error {
	inner, ok := s.Session.(imapserver.SessionUnauthenticate)
	if !ok {
		return fmt.Errorf("limits: %T does not support UNAUTHENTICATE", s.Session)
	}
	if err := inner.Unauthenticate(); err != nil {
		return err
	}
	s.logout()
	return nil
}

// Close gives everything back, after the session has closed or panicked.
func (s *session) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	defer s.release()
	if s.bye != nil {
		s.bye.Stop()
	}
	return s.Session.Close()
}

func (s *session) release() {
	s.logout()
	s.releaseConnection()
}

func (s *session) logout() {
	if s.releaseLogin != nil {
		s.releaseLogin()
		s.releaseLogin = nil
	}
	s.user, s.turn = "", ""
}

// turnKey returns whose turn a session takes in the queues: its user's, or its address's if the user is not known, or its own.
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
