package limits

import (
	"errors"
	"io"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/imapgate/imapgate/internal/keep"
)

const (
	// byeDelay lets the tagged NO go out before the BYE: it is written after Login has returned, and nothing tells when.
	byeDelay = 100 * time.Millisecond
	// byeTimeout is how long a client that does not read is given to take the BYE.
	byeTimeout = 50 * time.Millisecond
)

// Login logs in if the limits allow it; the package comment says when the backend is asked.
func (s *session) Login(username, password string) error {
	return s.login(commandLogin, username, func() (bool, error) {
		return true, s.Session.Login(username, password)
	})
}

// login runs one step of a login in which the client has named itself as username, "" if it has not yet. The step says whether the client
// is logged in now.
func (s *session) login(command, username string, step func() (done bool, err error)) error {
	if s.refused != nil {
		return s.refused
	}
	user := s.limiter.options.Load().userKey(username)
	start := time.Now()
	attempt, refusal := s.limiter.logins.begin(loginKey{user, s.ip}, s.socket)
	if refusal != nil {
		return s.refuseLogin(Event{Command: command, User: user, Waited: time.Since(start)}, refusal)
	}
	defer attempt.end()
	if attempt.waited > 0 {
		s.tell(Event{Kind: Admitted, Command: command, User: user, Waited: attempt.waited})
	}
	done, err := step()
	if err != nil {
		return s.failLogin(Event{Command: command, User: user}, err)
	}
	if !done {
		return nil
	}
	if refusal := s.admit(attempt, user); refusal != nil {
		return s.refuseLogin(Event{Command: command, User: user}, refusal)
	}
	return nil
}

// admit counts the session, which the backend has logged in, as one of the user's. The backend may know the name better.
func (s *session) admit(a *attempt, user string) *imap.Error {
	options := s.limiter.options.Load()
	if options.Username != nil {
		if name := options.Username(keep.Backend(s.Session)); name != "" {
			user = options.userKey(name)
		}
	}
	release, refusal := a.admit(user)
	if refusal != nil {
		return refusal
	}
	s.releaseLogin, s.user = release, user
	s.turn = s.turnKey()
	return nil
}

// refuseLogin ends the connection with the limiter's own refusal.
func (s *session) refuseLogin(event Event, refusal *imap.Error) error {
	s.tellRefusal(event, refusal)
	s.endConnection(refusal, "["+string(refusal.Code)+"] "+refusal.Text)
	return refusal
}

// failLogin counts an answer of the backend that is about wrong credentials, and ends the connection when it was the last one allowed.
func (s *session) failLogin(event Event, err error) error {
	if !wrongCredentials(err) {
		return err
	}
	s.failed++
	if max := s.limiter.options.Load().MaxFailedLogins; max > 0 && s.failed >= max {
		s.tellRefusal(event, errTooManyFailedLogins)
		s.endConnection(errTooManyFailedLogins, errTooManyFailedLogins.Text)
	}
	return err
}

// wrongCredentials tells an answer to a bad password from one about the server's or the protocol's troubles.
func wrongCredentials(err error) bool {
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

// endConnection sends a BYE and closes the connection as soon as the answer to the current command is out. Until then nothing on it
// reaches the backend: further logins get the refusal.
func (s *session) endConnection(refusal *imap.Error, text string) {
	s.refused = refusal
	s.bye = time.AfterFunc(byeDelay, func() {
		// Not Conn.Bye: it waits for a client that does not read, and closes the connection without the lock that STARTTLS changes
		// it under. The line is whole and goes out in one piece, as every answer does before login.
		conn := s.conn.NetConn()
		kill := time.AfterFunc(byeTimeout, func() { conn.Close() })
		defer kill.Stop()
		defer conn.Close()
		io.WriteString(conn, "* BYE "+text+"\r\n")
	})
}
