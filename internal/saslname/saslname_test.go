package saslname_test

import (
	"testing"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/saslname"
)

func TestWatch(t *testing.T) {
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
			exchange := saslname.Watch(
				sasl.NewPlainServer(func(_, _, password string) error {
					if password != "pass" {
						return imapserver.ErrAuthFailed
					}
					return nil
				}), mech, func(user string) { got = user },
			)
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
}
