package main

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// serveStack serves in memory, for tests of time.
func serveStack(t *testing.T, args ...string) *imaptest.Server {
	s, err := parse(args)
	require.NoError(t, err)
	logger := slog.New(slog.DiscardHandler)
	backend, err := newBackend(s, logger)
	require.NoError(t, err)
	server, err := newServer(s, backend, nil, true, logger)
	require.NoError(t, err)
	return imaptest.Run(t, server)
}

func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveStack(t, "-delay", "3s", "-login-delay", "1s").Dial()
		c.Line()
		for _, test := range []struct {
			command string
			want    time.Duration
		}{
			{"a LOGIN karen wrong", time.Second}, {"a LOGIN karen pass", time.Second}, {"a SELECT INBOX", 0},
			{"a FETCH 1:* FLAGS", 3 * time.Second}, {"a UID SEARCH ALL", 3 * time.Second},
			{"a NAMESPACE", 0}, {"a MOVE 1 Sent", 0},
		} {
			start := time.Now()
			answer := c.Cmd(test.command)
			assert.Equal(t, test.want, time.Since(start), "%s: %q", test.command, answer)
			assert.NotContains(t, answer[len(answer)-1], "BAD")
		}
	})
}

// The delay is the backend's, which stops when it is told to, whatever is stacked around it.
func TestADelayedCommandCanBeStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, args := range [][]string{
			nil,
			{"-idle", "poll", "-virtual-folders", "noselect", "-copy-date", "reset", "-shared", "bob:INBOX"},
			{"-virtual-folders", "off", "-login-delay", "1s"},
		} {
			c := serveStack(
				t,
				append(
					args, "-delay", "5s", "-search-run-timeout", "1s", "-fetch-run-timeout", "2s",
				)...).Login("karen", "pass")
			c.Cmd("a SELECT INBOX")
			start := time.Now()
			assert.Equal(t, "NO [LIMIT] SEARCH took too long", imaptest.Last(c.Cmd("a UID SEARCH ALL")))
			assert.Equal(t, time.Second, time.Since(start))
			assert.Equal(t, "NO [LIMIT] FETCH took too long", imaptest.Last(c.Cmd("a FETCH 1:* FLAGS")))
			assert.Equal(t, 3*time.Second, time.Since(start))
			requireOK(t, c.Cmd("a NOOP"))
		}
	})
}
