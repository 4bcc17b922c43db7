package mailserver

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
	s, err := parse(args, Extension{})
	require.NoError(t, err)
	logger := slog.New(slog.DiscardHandler)
	backend, err := newBackend(s, logger)
	require.NoError(t, err)
	server, err := newServer(s, backend, s.limiterOptions(logger), nil, true, logger)
	require.NoError(t, err)
	return imaptest.Run(t, server)
}

func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveStack(
			t, "-delay", "3s", "-login-delay", "1s", "-command-delay", "2s",
			"-virtual-folders", "off", "-max-guess-delay", "0",
		).Dial()
		c.Line()
		for _, test := range []struct {
			takes    time.Duration
			commands []string
		}{
			{time.Second, []string{"LOGIN karen wrong", "LOGIN karen pass"}},
			{2 * time.Second, []string{
				"NAMESPACE", `LIST "" *`, `LSUB "" *`, "CREATE x", "RENAME x y", "SUBSCRIBE y",
				"UNSUBSCRIBE y", "DELETE y", "STATUS INBOX (MESSAGES)", "APPEND Sent {8+}\r\na: b\r\n\r\n",
				"SELECT INBOX", "SELECT Sent", "EXAMINE INBOX", "SELECT INBOX", `STORE 2 +FLAGS (\Deleted)`,
				"EXPUNGE", "UID EXPUNGE 2", "COPY 1 Sent", "MOVE 1 Sent", "UID MOVE 3 Sent",
			}},
			{3 * time.Second, []string{"FETCH 1:* FLAGS", "UID FETCH 1:* UID", "UID SEARCH ALL"}},
			{0, []string{"NOOP", "CAPABILITY", "UNSELECT"}},
		} {
			for _, command := range test.commands {
				start := time.Now()
				answer := c.Cmd("a " + command)
				assert.Equal(t, test.takes, time.Since(start), "%s: %q", command, answer)
				assert.Equal(t, command != "LOGIN karen wrong", imaptest.IsOK(answer), "%q", answer)
			}
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
