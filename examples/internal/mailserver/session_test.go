package mailserver

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Nothing of it runs as a command, and a mailbox of another user is no way around it.
func TestAMessageThatIsTooLarge(t *testing.T) {
	s := serveStack(t, "-max-append-size", "100", "-shared", "bob:INBOX")
	c := opened(t, s, "SELECT")
	for _, mailbox := range []string{"INBOX", "#users/bob/INBOX"} {
		for size, want := range map[int]string{
			100: "OK [APPENDUID", 101: "NO [TOOBIG] The message is too large",
		} {
			text := "a: b\r\n\r\n" + strings.Repeat("x LOGOUT\r\n", 20)
			c.Send("a APPEND "+mailbox+" {"+strconv.Itoa(size)+"+}", text[:size])
			answer := c.Answer("a")
			assert.Contains(t, answer[len(answer)-1], want)
		}
	}
	assert.Equal(t, []string{"a OK NOOP completed"}, c.Cmd("a NOOP"))
}
