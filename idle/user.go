package idle

import (
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"

	"github.com/imapgate/imapgate/internal/keep"
	"github.com/imapgate/imapgate/internal/saslname"
)

// userName is called under mu.
func (s *session) userName() string {
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
	return saslname.Authenticate(s.Session, mech, s.loginAs)
}
