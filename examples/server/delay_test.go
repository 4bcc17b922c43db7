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

func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := delays{command: 3 * time.Second, login: time.Second}
		backend, err := newBackend(&settings{accounts: []account{{"karen", "pass"}}}, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		server := imaptest.Serve(t, d.wrap(backend.NewSession))
		c := server.Dial()
		c.Line()
		for _, test := range []struct {
			command string
			want    time.Duration
		}{
			{"a LOGIN karen wrong", time.Second},
			{"a LOGIN karen pass", time.Second},
			{"a SELECT INBOX", 0},
			{"a FETCH 1:* FLAGS", 3 * time.Second},
			{"a UID SEARCH ALL", 3 * time.Second},
			{"a NAMESPACE", 0},
			{"a MOVE 1 Sent", 0},
		} {
			start := time.Now()
			answer := c.Cmd(test.command)
			assert.Equal(t, test.want, time.Since(start), "%s: %q", test.command, answer)
			assert.NotContains(t, answer[len(answer)-1], "BAD")
		}
	})
}
