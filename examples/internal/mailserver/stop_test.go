package mailserver

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// It ends at once, not when the slow commands do, with clients in every state: before login, in
// IDLE, under TLS, in a slow command and waiting for one. All are told.
func TestItEndsCleanly(t *testing.T) {
	s := startServer(t, "-delay", "1m", "-max-searches-per-user", "1", "-progress-interval", "10ms")
	plain, _ := s.dial()
	secure, _ := s.dialTLS()
	idle := s.selected("bob")
	idle.Send("a IDLE")
	assert.Equal(t, "+ idling", idle.Line())
	slow := s.selected("karen")
	slow.Send("a SEARCH SEEN")
	waiting := s.selected("karen")
	waiting.Send("a SEARCH UNSEEN")
	for _, c := range []*imaptest.Conn{slow, waiting} {
		assert.Contains(t, c.Line(), "INPROGRESS")
	}
	assert.Equal(t, exitOK, s.stop())
	const bye = "* BYE [UNAVAILABLE] The server is shutting down"
	for _, c := range []*imaptest.Conn{plain, secure, idle} {
		assert.Equal(t, []string{bye}, c.Rest())
	}
	for _, c := range []*imaptest.Conn{slow, waiting} {
		said := c.Rest()
		answer := []string{"a NO [UNAVAILABLE] The server is shutting down", bye}
		assert.Equal(t, answer, said[len(said)-2:])
	}
}

func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals")
	}
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		stdout, stderr := newOutput(), newOutput()
		program := exec.Command(os.Args[0], "-listen", "127.0.0.1:0", "-listen-tls", "127.0.0.1:0")
		program.Env = append(os.Environ(), asProgram+"=1")
		program.Stdout, program.Stderr = stdout, stderr
		require.NoError(t, program.Start())
		stdout.waitFor(t, "Ctrl-C")
		require.NoError(t, program.Process.Signal(signal))
		assert.NoError(t, program.Wait(), "%v: %s", signal, stderr)
	}
}
