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

func (s *session) setUserName(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user = user
}

func (s *session) Login(username, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.Session.Login(username, password)
	if err == nil {
		s.user = username
	}
	return err
}

func (s *session) Unauthenticate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.Session.(imapserver.SessionUnauthenticate).Unauthenticate()
	if err == nil {
		s.user = ""
	}
	return err
}

func (s *session) AuthenticateMechanisms() []string {
	return s.Session.(imapserver.SessionSASL).AuthenticateMechanisms()
}

func (s *session) Authenticate(mech string) (sasl.Server, error) {
	server, err := s.Session.(imapserver.SessionSASL).Authenticate(mech)
	if err != nil || mech != sasl.Plain {
		return server, err
	}
	return &plain{Server: server, session: s}, nil
}

// plain reads the name out of a PLAIN exchange (RFC 4616) of the backend.
type plain struct {
	sasl.Server
	session *session
}

func (p *plain) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = p.Server.Next(response)
	if fields := strings.Split(string(response), "\x00"); done && err == nil && len(fields) == 3 {
		user := fields[1]
		if fields[0] != "" && fields[0] != user {
			user = "" // somebody else to act as, which some backends ignore: Username knows
		}
		p.session.setUserName(user)
	}
	return challenge, done, err
}
