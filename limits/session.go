package limits

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/admission"
	"github.com/imapgate/imapgate/internal/progress"
)

// session is a session with limits. What is not locked or atomic belongs to the goroutine that
// serves the connection.
type session struct {
	imapserver.Session
	client

	id         uint64
	next, prev *session // in the registry

	user      string                     // the key of who is logged in, "" if nobody or not known
	login     *admission.Login[*session] // nil if nobody is logged in
	lease     lease                      // of the cluster
	failed    int                        // logins with wrong credentials
	account   account                    // whose mail this is; without a name if not known
	mailbox   mailbox                    // the one that is selected
	delimiter string                     // of the mailboxes' names, "" if nobody has asked yet
	exchange  *exchange                  // the SASL exchange that goes on, or was broken off
	notice    *progress.Notice           // tells the client of a command; nil until one is told of
	whenLost  func()                     // lost, made once
	ending    atomic.Pointer[ending]     // set when the connection is about to be closed

	// guessesKnown is closed when the wrong passwords on other machines are known; nil if they are.
	guessesKnown <-chan struct{}

	timers    sync.Mutex
	bye       *time.Timer // ends the connection after a refusal
	noLogin   *time.Timer // ends it when LoginTimeout is over
	connected time.Time   // from when LoginTimeout counts
	loggedIn  bool
	closed    bool

	stopsFetch, stopsSearch bool // the backend takes a context

	releaseConnection func()    // nil if the connection is not counted
	endsBy            time.Time // when a connection that was not admitted is closed; zero if it was
}

// Unauthenticate gives back what the user holds. The connection still counts.
func (s *session) Unauthenticate() error {
	if err := s.Session.(imapserver.SessionUnauthenticate).Unauthenticate(); err != nil {
		return err
	}
	s.logout()
	err := s.identify("")
	s.timers.Lock()
	s.connected, s.loggedIn = time.Now(), false
	s.timers.Unlock()
	s.armLoginTimeout()
	return err
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
	s.notice.End()
	if s.exchange != nil {
		s.exchange.drop()
	}
	s.logout()
	s.limiter.sessions.remove(s)
	if release := s.releaseConnection; release != nil {
		s.releaseConnection = nil
		release()
	}
}

func (s *session) logout() {
	s.limiter.logins.Leave(s.login)
	s.login = nil
	s.lease.release()
	s.user, s.turn, s.account.name, s.mailbox = "", "", "", mailbox{}
}

func (s *session) dryRun() bool { return s.limiter.settings.Load().DryRun }

// armLoginTimeout starts the time within which the client must log in, or starts it anew after the
// options have changed.
func (s *session) armLoginTimeout() {
	timeout := s.limiter.settings.Load().LoginTimeout
	s.timers.Lock()
	defer s.timers.Unlock()
	if s.noLogin != nil {
		s.noLogin.Stop()
	}
	if timeout == 0 || s.loggedIn || s.closed {
		return
	}
	s.noLogin = time.AfterFunc(time.Until(s.connected.Add(timeout)), func() {
		s.timers.Lock()
		late := s.loggedIn || s.closed
		s.timers.Unlock()
		event := Event{Command: commandConnect}
		if late || s.limits.Load().exempt || !s.refuse(event, s.reached(loginTimeout)) {
			return
		}
		s.endWith(errLoginTimeout, errLoginTimeout.Text)
		s.hangUp(errLoginTimeout.Text)
	})
}

// stopTimers stops what would end the connection, which is ending.
func (s *session) stopTimers() {
	s.timers.Lock()
	defer s.timers.Unlock()
	s.closed = true
	for _, timer := range []*time.Timer{s.bye, s.noLogin} {
		if timer != nil {
			timer.Stop()
		}
	}
}
