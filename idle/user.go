package idle

import (
	"strings"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"

	"github.com/imapgate/imapgate/internal/keep"
)

func (s *session) userName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.Username != nil {
		if user := s.options.Username(keep.Backend(s.Session)); user != "" {
			return user
		}
	}
	return s.user
}

// loginAs notes who is logged in now, "" if that is not known.
func (s *session) loginAs(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user, s.loggedOut = user, false
}

func (s *session) Login(username, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.Session.Login(username, password)
	if err == nil {
		s.user, s.loggedOut = username, false
	}
	return err
}

func (s *session) Unauthenticate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.Session.(imapserver.SessionUnauthenticate).Unauthenticate()
	if err == nil {
		s.user, s.loggedOut = "", true
	}
	return err
}

func (s *session) AuthenticateMechanisms() []string {
	return s.Session.(imapserver.SessionSASL).AuthenticateMechanisms()
}

func (s *session) Authenticate(mech string) (sasl.Server, error) {
	server, err := s.Session.(imapserver.SessionSASL).Authenticate(mech)
	if err != nil {
		return server, err
	}
	return &exchange{Server: server, session: s, mech: mech}, nil
}

// exchange is a SASL exchange of the backend.
type exchange struct {
	sasl.Server
	session *session
	mech    string
}

func (e *exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = e.Server.Next(response)
	if !done || err != nil {
		return challenge, done, err
	}
	user := ""
	if e.mech == sasl.Plain {
		user = plainUser(response)
	}
	e.session.loginAs(user)
	return challenge, done, err
}

// plainUser returns the name in a PLAIN response (RFC 4616), or "" if it is not clear whose session
// it will be.
func plainUser(response []byte) string {
	fields := strings.Split(string(response), "\x00")
	if len(fields) != 3 || fields[0] != "" && fields[0] != fields[1] {
		return "" // to act as somebody else, which some backends ignore: only Username knows
	}
	return fields[1]
}
