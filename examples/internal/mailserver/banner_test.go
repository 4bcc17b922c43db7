package mailserver

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheCommandThatIsPrintedWorks(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	for name, args := range map[string][]string{
		"plain":        nil,
		"TLS":          {"-listen", ""},
		"not loopback": {"-listen", "0.0.0.0:0"},
		"quoted":       {"-users", `o'hara:a b$c`},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, args...)
			command := s.stdout.waitFor(t, `(?m)^  (curl .*)$`)[1]
			message, err := exec.Command("sh", "-c", command+" --silent --show-error").Output()
			require.NoError(t, err, command)
			assert.Contains(t, string(message), "Subject: Welcome to the new mail server")
		})
	}
}

func TestReachable(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:1143": "127.0.0.1:1143",
		"0.0.0.0:1143":   "localhost:1143",
		"[::]:1143":      "localhost:1143",
		"[::1]:1143":     "[::1]:1143",
		"/imap":          "/imap",
	} {
		assert.Equal(t, want, reachable(textAddr(address)))
	}
}

type textAddr string

func (textAddr) Network() string  { return "tcp" }
func (a textAddr) String() string { return string(a) }
