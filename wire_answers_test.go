package imapgate_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// What the guard says at its limits is what limits declares that a client reads.
func TestTheGuardGivesTheDeclaredAnswers(t *testing.T) {
	declared := make(map[string]string)
	for _, limit := range limits.Declared() {
		declared[limit.Option] = limit.Answer
	}
	for option, reach := range map[string]struct {
		set  func(*limits.Options)
		sent []string
	}{
		"MaxLoginBytes": {
			set:  func(o *limits.Options) { o.MaxLoginBytes = 100 },
			sent: []string{"a NOOP " + strings.Repeat("x", 100)},
		},
		"MaxCommandBytes": {
			set:  func(o *limits.Options) { o.MaxCommandBytes = 100 },
			sent: []string{"a LOGIN karen pass", "b NOOP " + strings.Repeat("x", 100)},
		},
		"MaxSearchDepth": {
			set:  func(o *limits.Options) { o.MaxSearchDepth = 2 },
			sent: []string{"a LOGIN karen pass", "b SELECT INBOX", "c SEARCH NOT NOT SEEN"},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			options := &limits.Options{}
			reach.set(options)
			server, err := imapgate.NewServer(&imapgate.Options{
				Server: imapserver.Options{
					NewSession: imaptest.Memory(imaptest.User("karen")), InsecureAuth: true,
				},
				Limits: options,
			})
			require.NoError(t, err)
			c := imaptest.Run(t, server).Dial()
			c.Send(append(reach.sent, "z LOGOUT")...)
			said := strings.Join(c.Rest(), "\n")
			require.NotEmpty(t, declared[option])
			assert.Contains(t, said, " "+declared[option], option)
		})
	}
}
