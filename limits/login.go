package limits

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-sasl"

	"github.com/imapgate/imapgate/internal/keep"
)

const (
	// byeDelay lets the tagged NO go out before the BYE: it is written after Login has returned,
	// and nothing tells when.
	byeDelay = 100 * time.Millisecond
	// byeTimeout is how long a client that does not read is given to take the BYE.
	byeTimeout = 50 * time.Millisecond
)

// Login logs in if the limits allow it; the package comment says when the backend is asked.
func (s *session) Login(username, password string) error {
	_, err := s.authenticate(commandLogin, username, nil, func() (bool, error) {
		return true, s.Session.Login(username, password)
	})
	return s.failure(commandLogin, username, err)
}

// failure counts an answer other than success. The name that was tried can be long, and must not
// stay with the connection.
func (s *session) failure(command, username string, err error) error {
	if err == nil {
		return nil
	}
	defer s.identify("")
	return s.countFailure(command, username, err)
}

// authenticate runs one step of a login in which the client has named itself as username, "" if it
// has not yet. The step says whether the client is logged in now; if it is not, and did not fail,
// the attempt is returned: it must be ended, or given to the next step.
func (s *session) authenticate(
	command, username string, attempt *attempt, step func() (done bool, err error),
) (kept *attempt, err error) {
	if refusal := s.ending.Load(); refusal != nil {
		return nil, refusal
	}
	user := s.limiter.settings.Load().userKey(username)
	if attempt == nil {
		s.identify(user)
		var refusal *imap.Error
		if attempt, refusal = s.limiter.logins.begin(&s.client, user, s.dryRun()); refusal != nil {
			s.tellRefusal(Event{Command: command, User: user, Waited: attempt.waited}, refusal)
			return nil, s.refuseLogin(refusal)
		}
	}
	defer func() {
		if kept == nil {
			attempt.end()
		}
	}()
	if attempt.waited > 0 {
		s.tell(Event{Kind: EventAdmitted, Command: command, User: user, Waited: attempt.waited})
		s.renewDeadlines()
	}
	done, err := step()
	switch {
	case err != nil:
		return nil, err
	case !done:
		return attempt, nil
	}
	account := "" // what a client claims in a SASL exchange may be another's name, which some backends ignore
	if command == commandLogin {
		account = username
	}
	if refusal := s.admit(command, attempt, user, account); refusal != nil {
		return nil, s.refuseLogin(refusal)
	}
	return nil, nil
}

// renewDeadlines gives the command the time again that go-imap gave it when it came: the wait has
// used it up. LOGIN does not need it, but AUTHENTICATE does.
func (s *session) renewDeadlines() {
	const serverTimeout = 30 * time.Second
	s.conn.NetConn().SetDeadline(time.Now().Add(serverTimeout))
}

// admit counts the session, which the backend has logged in to the account, as one of the user's.
// The backend may know the name better.
func (s *session) admit(command string, attempt *attempt, user, account string) *imap.Error {
	if refusal := s.ending.Load(); refusal != nil {
		return refusal // meanwhile its time was up
	}
	settings := s.limiter.settings.Load()
	if settings.Username != nil {
		if name := settings.Username(keep.Backend(s.Session)); name != "" {
			user, account = settings.userKey(name), name
			s.identify(user)
		}
	}
	evicted, refusal := attempt.admit(s, user, settings.DryRun)
	for _, older := range evicted {
		older.evict()
	}
	if refusal != nil && s.refuses(Event{Command: command, User: user}, refusal) {
		return refusal
	}
	s.user, s.account.name = user, strings.Clone(account)
	s.turn = s.turnKey()
	s.timers.Lock()
	s.loggedIn = true
	if s.noLogin != nil {
		s.noLogin.Stop()
		s.noLogin = nil
	}
	s.timers.Unlock()
	s.activity.end()
	return nil
}

// refuseLogin ends the connection with the limiter's own refusal.
func (s *session) refuseLogin(refusal *imap.Error) error {
	s.endConnection(refusal, "["+string(refusal.Code)+"] "+refusal.Text)
	return refusal
}

// countFailure counts and reports an answer of the backend that is about wrong credentials, and
// ends the connection when it was the last one allowed.
func (s *session) countFailure(command, username string, err error) error {
	if !wrongCredentials(err) {
		return err
	}
	s.failed++
	event := Event{Command: command, User: s.limiter.settings.Load().userKey(username)}
	s.tellRefusal(event, errWrongCredentials)
	if max := s.limits.Load().MaxFailedLogins; max > 0 && s.failed >= max {
		if s.refuses(event, errTooManyFailedLogins) {
			s.endConnection(errTooManyFailedLogins, errTooManyFailedLogins.Text)
		}
	}
	return err
}

// wrongCredentials tells an answer to a bad password from one about the server's or the protocol's
// troubles.
func wrongCredentials(err error) bool {
	var bearer *sasl.OAuthBearerError
	if errors.As(err, &bearer) {
		return true
	}
	var answer *imap.Error
	if !errors.As(err, &answer) || answer.Type != imap.StatusResponseTypeNo {
		return false
	}
	switch answer.Code {
	case imap.ResponseCodeUnavailable, imap.ResponseCodeServerBug, imap.ResponseCodeInUse,
		imap.ResponseCodeContactAdmin, imap.ResponseCodePrivacyRequired, imap.ResponseCodeLimit:
		return false
	default:
		return true
	}
}

// endConnection sends a BYE and closes the connection as soon as the answer to the current command
// is out. Until then nothing on it reaches the backend: further logins get the refusal.
func (s *session) endConnection(refusal *imap.Error, text string) {
	if !s.ending.CompareAndSwap(nil, refusal) {
		return
	}
	s.timers.Lock()
	defer s.timers.Unlock()
	s.bye = time.AfterFunc(byeDelay, func() { s.hangUp(text) })
}

// hangUp sends a BYE and closes the connection. It is not Conn.Bye, which waits for a client that
// does not read, and closes the connection without the lock that STARTTLS changes it under. The
// line is whole and goes out in one piece, as every answer of less than 4 KB does while no command
// runs.
func (c *client) hangUp(text string) {
	conn := c.conn.NetConn()
	kill := time.AfterFunc(byeTimeout, func() { conn.Close() })
	defer kill.Stop()
	defer conn.Close()
	io.WriteString(conn, "* BYE "+text+"\r\n")
}

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
		if late || s.limits.Load().exempt || !s.refuses(Event{Command: commandConnect}, errLoginTimeout) {
			return
		}
		s.ending.CompareAndSwap(nil, errLoginTimeout)
		s.hangUp(errLoginTimeout.Text)
	})
}

// stopTimers stops what would end the connection, which is ending.
func (s *session) stopTimers() {
	s.timers.Lock()
	defer s.timers.Unlock()
	for _, timer := range []*time.Timer{s.bye, s.noLogin} {
		if timer != nil {
			timer.Stop()
		}
	}
}
