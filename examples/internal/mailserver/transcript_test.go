package mailserver

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What README.md shows of two clients is what they read, when the server is started as it says.
func TestTheTranscriptOfTheReadme(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	require.NoError(t, err)
	start := regexp.MustCompile(`(?m)^\$ go run \./examples/server (.+)$`).FindSubmatch(readme)
	require.NotNil(t, start)
	s := startServer(t, strings.Fields(string(start[1]))...)
	clients := regexp.MustCompile(`(?m)^\$ \(printf '(.*?)\\r\\n'; sleep.*telnet:.*\n`+
		`((?:[^$\x60].*\n)+)`).
		FindAllSubmatch(readme, -1)
	require.Len(t, clients, 2)
	for _, client := range clients {
		c, greeting := s.dial()
		c.Send(string(client[1]))
		for i, want := range strings.Split(strings.TrimSpace(string(client[2])), "\n") {
			if want == "…" {
				break // and so on, later
			}
			said := greeting
			if i > 0 {
				said = c.Line()
			}
			want = strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*")
			assert.Regexp(t, "^"+want+"$", strings.TrimSpace(said))
		}
	}
}
