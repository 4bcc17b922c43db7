package idle

import (
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"golang.org/x/sync/semaphore"

	"github.com/imapgate/imapgate/internal/keep"
)

// ErrOff is the answer to DONE where the mode is [Off] and IDLE was not taken off the wire.
var ErrOff = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodeCannot,
	Text: "IDLE is switched off on this server",
}

// byeTimeout is how long a client has to take a BYE, and what is written before it.
const byeTimeout = time.Second

// session serves IDLE. go-imap runs Idle in a goroutine of its own, and after a line other than
// DONE it runs the next command while Idle still runs. That is why every method of the backend that
// could run at the same time as a poll is called under mu.
type session struct {
	imapserver.Session // the backend's; Idle of it is called without mu
	conn               *imapserver.Conn
	options            *Options
	users              *users
	polls              *semaphore.Weighted // nil: no limit
	closing            chan struct{}
	close              sync.Once

	mu        turn
	user      string
	loggedOut bool // by UNAUTHENTICATE
	closed    bool
}

// turn is a mutex that goroutines in a [testing/synctest] bubble may wait for. A poll can take
// long.
type turn chan struct{}

func (t turn) Lock()   { t <- struct{}{} }
func (t turn) Unlock() { <-t }

func (t turn) TryLock() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

// lockUntil locks mu if that is possible before the IDLE is over. A client may begin any number of
// them during one poll, and none may wait for it any longer than it lasts.
func (s *session) lockUntil(stop <-chan struct{}) bool {
	if s.mu.TryLock() {
		return true
	}
	select {
	case s.mu <- struct{}{}:
		return true
	case <-stop:
	case <-s.closing:
	}
	return false
}

func newSession(
	inner imapserver.Session, conn *imapserver.Conn, options *Options, users *users,
	polls *semaphore.Weighted,
) imapserver.Session {
	s := &session{
		Session: inner,
		conn:    conn,
		options: options,
		users:   users,
		polls:   polls,
		closing: make(chan struct{}),
		mu:      make(turn, 1),
	}
	return keep.Optional(s, inner)
}

// Idle returns when stop is closed or the session is.
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	defer s.endAfter(s.options.MaxDuration)()
	user, mode, ok := s.decide(stop)
	switch {
	case !ok && mode == Off:
		return ErrOff
	case !ok:
		return nil
	case mode != On && mode != Poll:
		return s.refuse(w, stop)
	}
	release, err := s.place(user, w, stop)
	if release == nil {
		return err
	}
	defer release()
	if mode == On {
		defer s.untilOver(stop)
		return s.Session.Idle(w, stop)
	}
	return s.pollUntil(w, stop, s.options.PollInterval, func() bool { return false })
}

// untilOver waits for the client to end its IDLE. When the backend's Idle has returned early, the
// client does not know: it is told only after DONE.
func (s *session) untilOver(stop <-chan struct{}) {
	select {
	case <-stop:
	case <-s.closing:
	}
}

// endAfter ends the connection when the time is over; zero means never. When stop has returned, the
// connection has either ended or will not be ended.
func (s *session) endAfter(longest time.Duration) (stop func()) {
	if longest == 0 {
		return func() {}
	}
	ended := make(chan struct{})
	timer := time.AfterFunc(longest, func() {
		defer close(ended)
		s.bye("IDLE took too long")
	})
	return func() {
		if !timer.Stop() {
			<-ended
		}
	}
}

// bye is Conn.Bye, but does not wait for a client that does not read.
func (s *session) bye(text string) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		s.conn.Bye(text)
	}()
	timer := time.NewTimer(byeTimeout)
	defer timer.Stop()
	select {
	case <-said:
	case <-timer.C:
		s.conn.NetConn().Close()
	}
}

// refuse waits for the client to send DONE: go-imap has told it to go on already, and answers only
// then. If the session is busy, that is because an IDLE before was left without DONE: then this
// one need not poll too.
func (s *session) refuse(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	select {
	case <-stop:
	case <-s.closing:
		return nil
	}
	if s.mu.TryLock() {
		defer s.mu.Unlock()
		if err := s.pollOrBye(w, func() {}); err != nil {
			return err
		}
	}
	return ErrOff
}

// decide returns who is in IDLE, and how that is served, or false if the IDLE is over before that
// is known. A panic of ModeFor or Username ends the connection: go-imap would catch it, and leave
// the client in an IDLE that nobody serves.
func (s *session) decide(stop <-chan struct{}) (user string, mode Mode, ok bool) {
	if !s.lockUntil(stop) {
		return "", s.options.Mode, false
	}
	defer s.mu.Unlock()
	decided := false
	defer func() {
		if !decided {
			s.bye("Cannot IDLE")
		}
	}()
	user, mode = s.userName(), s.options.Mode
	if s.options.ModeFor != nil {
		mode = s.options.ModeFor(user)
	}
	decided = true
	return user, mode, true
}

// place waits for a place among the sessions of the user, and polls meanwhile. It returns nil if
// the IDLE is over before there is one.
func (s *session) place(
	user string, w *imapserver.UpdateWriter, stop <-chan struct{},
) (release func(), err error) {
	if release = s.users.acquire(user); release != nil {
		return release, nil
	}
	err = s.pollUntil(w, stop, slowdown*s.options.PollInterval, func() bool {
		release = s.users.acquire(user)
		return release != nil
	})
	return release, err
}

// Poll does nothing when the session is closed, nor for an IDLE that a client has left without DONE
// to log out.
func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pollLocked(w, allowExpunge)
}

func (s *session) pollLocked(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.closed || s.loggedOut {
		return nil
	}
	return s.Session.Poll(w, allowExpunge)
}

// Close ends an Idle that still runs, and waits for its poll. It does nothing the second time.
func (s *session) Close() (err error) {
	s.close.Do(func() {
		close(s.closing)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closed = true
		err = s.Session.Close()
	})
	return err
}
