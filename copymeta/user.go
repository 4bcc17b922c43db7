package copymeta

import (
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"

	"github.com/imapgate/imapgate/internal/keep"
	"github.com/imapgate/imapgate/internal/saslname"
)

// userName returns who shares a half of the memory and of the files, "" if that is not known.
func (s *session) userName() string {
	if s.options.Username != nil {
		if user := s.options.Username(keep.Backend(s.Session)); user != "" {
			return user
		}
	}
	return s.user
}

// Login implements [imapserver.Session].
func (s *session) Login(username, password string) error {
	err := s.Session.Login(username, password)
	if err == nil {
		s.loggedIn(username)
	}
	return err
}

// loggedIn notes who is logged in, "" if that is not known.
func (s *session) loggedIn(user string) { s.user = user }

// AuthenticateMechanisms implements [imapserver.SessionSASL], which the session has if the
// backend's has it.
func (s *session) AuthenticateMechanisms() []string {
	return s.Session.(imapserver.SessionSASL).AuthenticateMechanisms()
}

// Authenticate implements [imapserver.SessionSASL].
func (s *session) Authenticate(mech string) (sasl.Server, error) {
	return saslname.Authenticate(s.Session, mech, s.loggedIn)
}
