package idle_test

import (
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// checking is a session that accepts the password "pass" only, and nobody named "stuck" gets out.
type checking struct {
	imaptest.Stub
	user *string
}

func (c checking) Login(username, password string) error {
	if password != "pass" {
		return imapserver.ErrAuthFailed
	}
	*c.user = username
	return nil
}

func (c checking) Unauthenticate() error {
	if *c.user == "stuck" {
		return &imap.Error{Type: imap.StatusResponseTypeNo, Text: "Not now"}
	}
	return nil
}

func (c checking) AuthenticateMechanisms() []string { return []string{"PLAIN", "OTHER"} }

func (c checking) Authenticate(string) (sasl.Server, error) {
	return sasl.NewPlainServer(
		func(_, username, password string) error { return c.Login(username, password) },
	), nil
}

func TestWhoIsInIdle(t *testing.T) {
	login := func(user, password string) func(imapserver.Session) error {
		return func(s imapserver.Session) error { return s.Login(user, password) }
	}
	authenticate := func(mech, user, password string) func(imapserver.Session) error {
		return func(s imapserver.Session) error {
			server, err := s.(imapserver.SessionSASL).Authenticate(mech)
			if err != nil {
				return err
			}
			_, _, err = server.Next([]byte("\x00" + user + "\x00" + password))
			return err
		}
	}
	unauthenticate := func(s imapserver.Session) error {
		return s.(imapserver.SessionUnauthenticate).Unauthenticate()
	}
	type steps = []func(imapserver.Session) error
	for name, test := range map[string]struct {
		want  string
		steps steps
	}{
		"LOGIN":             {"karen", steps{login("karen", "pass")}},
		"PLAIN":             {"karen", steps{authenticate("PLAIN", "karen", "pass")}},
		"another mechanism": {"", steps{authenticate("OTHER", "karen", "pass")}},
		"the one before is out": {
			"", steps{login("bob", "pass"), unauthenticate, authenticate("OTHER", "karen", "pass")},
		},
		"who could not get out is still in": {"stuck", steps{login("stuck", "pass"), unauthenticate}},
		"a wrong password of LOGIN": {
			"", steps{login("bob", "guess"), authenticate("OTHER", "karen", "pass")},
		},
		"a wrong password of PLAIN": {
			"", steps{authenticate("PLAIN", "bob", "guess"), authenticate("OTHER", "karen", "pass")},
		},
		"a wrong password, then a right one": {
			"karen", steps{login("bob", "guess"), login("karen", "pass")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked := false
			newSession := idle.Wrap(
				func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
					return checking{user: new(string)}, nil, nil
				},
				&idle.Options{ModeFor: func(user string) idle.Mode {
					asked = true
					assert.Equal(t, test.want, user)
					return idle.On
				}},
			)
			session, _, err := newSession(nil)
			require.NoError(t, err)
			for _, step := range test.steps {
				step(session) // those that fail are what some rows are about
			}
			stop := make(chan struct{})
			close(stop)
			assert.NoError(t, session.Idle(nil, stop))
			assert.True(t, asked)
		})
	}
}
