package differential_test

import (
	"fmt"
	"regexp"
	"strings"
)

// note records what a client has received. If the server under test has no IDLE, the answers of the
// reference to IDLE are replaced by what that server must say. They are recorded last, because only
// a server with IDLE answers after the news.
func (t *talk) note(i int, c *client, heard []string) {
	var last []string
	for _, response := range heard {
		if t.hideIdle && t.reference {
			response = withoutIdle(response, c.rev2)
		}
		switch {
		case response == "":
		case t.hideIdle && strings.HasPrefix(response, "idle"):
			last = append(last, fmt.Sprintf("%d< %s", i, response))
		default:
			t.record = append(t.record, fmt.Sprintf("%d< %s", i, response))
		}
	}
	t.record = append(t.record, last...)
}

var (
	capabilities = regexp.MustCompile(`^(?:\* CAPABILITY |\S+ OK \[CAPABILITY )[^]\r\n]*`)
	idleAnswer   = regexp.MustCompile(`^(idle[0-9]+) [^+].*\r\n$`)
)

// withoutIdle turns a response of a server with IDLE into that of a server without it.
func withoutIdle(response string, rev2 bool) string {
	if response == "+ idling\r\n" {
		return ""
	}
	answer := "$1 BAD Unknown command\r\n"
	if rev2 {
		answer = "$1 NO [CANNOT] IDLE is switched off on this server\r\n"
	}
	response = idleAnswer.ReplaceAllString(response, answer)
	return capabilities.ReplaceAllStringFunc(
		response, func(list string) string { return strings.Replace(list, " IDLE", "", 1) },
	)
}
