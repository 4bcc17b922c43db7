package limits

import (
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
)

// Unauthenticate gives back what the session holds as the user's. The connection still counts. If
// the limits of a client without a user cannot be known, it panics.
func (s *session) Unauthenticate() error {
	if err := s.Session.(imapserver.SessionUnauthenticate).Unauthenticate(); err != nil {
		return err
	}
	s.logout()
	if err := s.identify(""); err != nil {
		// The backend has logged the client out, and go-imap would let its commands through after an
		// error. A panic ends the connection, and go-imap logs it.
		panic(err)
	}
	s.timers.Lock()
	s.connected, s.loggedIn = time.Now(), false
	s.timers.Unlock()
	s.armLoginTimeout()
	return nil
}

// Close gives everything back, after the backend's session has closed or panicked.
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

// release gives everything back, all of it even if the cluster panics.
func (s *session) release() {
	defer s.leave()
	s.stopTimers()
	s.notice.End()
	if s.exchange != nil {
		s.exchange.drop()
	}
	s.logout()
}

func (s *session) leave() {
	s.limiter.sessions.remove(s.id)
	if release := s.releaseConnection; release != nil {
		s.releaseConnection = nil
		release()
	}
}

func (s *session) logout() {
	defer s.lease.release() // last, as a cluster may panic
	s.limiter.logins.Leave(s.login)
	s.login = nil
	s.turn.Release()
	s.user, s.turn, s.account.name, s.mailbox = "", nil, "", mailbox{}
}

// armLoginTimeout starts LoginTimeout, or restarts it after the options have changed.
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
		defer s.catchPanic()
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

// stopTimers stops the timers that would close the connection, which is closing already.
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
