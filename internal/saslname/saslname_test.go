package saslname_test

import (
	"errors"
	"testing"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/saslname"
)

// session is one whose only password is "pass".
type session struct{ imaptest.Stub }

func (session) AuthenticateMechanisms() []string { return nil }

func (session) Authenticate(mech string) (sasl.Server, error) {
	if mech == "XBROKEN" {
		return nil, errors.ErrUnsupported
	}
	return sasl.NewPlainServer(func(_, _, password string) error {
		if password != "pass" {
			return imapserver.ErrAuthFailed
		}
		return nil
	}), nil
}

func TestAuthenticate(t *testing.T) {
	const nobody = "nobody has logged in"
	for response, want := range map[string]string{
		"\x00karen\x00pass":      "karen",
		"karen\x00karen\x00pass": "karen",
		"bob\x00karen\x00pass":   "",
		"\x00karen\x00guess":     nobody,
		"karen":                  nobody,
	} {
		for mech, knows := range map[string]bool{"PLAIN": true, "XOTHER": false} {
			got := nobody
			exchange, err := saslname.Authenticate(session{}, mech, func(user string) { got = user })
			assert.NoError(t, err)
			_, done, err := exchange.Next(nil)
			assert.False(t, done)
			assert.NoError(t, err)
			assert.Equal(t, nobody, got)
			exchange.Next([]byte(response))
			if want == nobody || knows {
				assert.Equal(t, want, got, "%q", response)
			} else {
				assert.Empty(t, got, "%q", response)
			}
		}
	}
	exchange, err := saslname.Authenticate(session{}, "XBROKEN", nil)
	assert.Nil(t, exchange)
	assert.ErrorIs(t, err, errors.ErrUnsupported)
}
