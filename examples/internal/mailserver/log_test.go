package mailserver

import (
	"encoding/base64"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
)

func TestARefusalIsInTheLog(t *testing.T) {
	s := startServer(t, "-max-connections", "1")
	s.dial()
	_, greeting := s.dial()
	assert.Equal(t, "* BYE [LIMIT] Too many connections", greeting)
	assert.Contains(
		t, s.stderr.String(),
		`msg=refused command=CONNECT user="" addr=127.0.0.1 limit=MaxConnections max=1 waited=0s`,
	)

	s = startServer(t, "-max-logins-per-user", "1")
	s.selected("karen")
	c, _ := s.dial()
	assert.Equal(
		t, "NO [LIMIT] Too many logins for this user", imaptest.Last(c.Cmd("a LOGIN KAREN pass")),
	)
	assert.Contains(
		t, s.stderr.String(),
		"level=WARN msg=refused command=LOGIN user=karen addr=127.0.0.1 limit=MaxLoginsPerUser "+
			"max=1 waited=0s\n",
	)

	s = startServer(t, "-max-searches", "1", "-search-queue-timeout", "100ms", "-delay", "1s")
	first, second := s.selected("karen"), s.selected("bob")
	first.Send("a SEARCH ALL")
	second.Send("a SEARCH ALL")
	answers := []string{imaptest.Last(first.Answer("a")), imaptest.Last(second.Answer("a"))}
	assert.Contains(t, answers, "NO [LIMIT] Too many concurrent searches - try again later")
	assert.Contains(t, answers, "OK SEARCH completed")
	assert.Regexp(
		t,
		`level=WARN msg="timed out" command=SEARCH user=(karen|bob) addr=127.0.0.1 limit=MaxSearches `+
			`max=1 waited=[1-9]\d\dms retry-after=100ms\n`,
		s.stderr.String(),
	)

	s = startServer(t, "-max-fetches-per-user", "1", "-delay", "50ms")
	first, second = s.selected("karen"), s.selected("karen")
	first.Send("a FETCH 1 FLAGS")
	second.Send("a FETCH 1 FLAGS")
	requireOK(t, first.Answer("a"))
	requireOK(t, second.Answer("a"))
	assert.Regexp(
		t, `level=INFO msg=admitted command=FETCH user=karen addr=127.0.0.1 waited=\d+ms\n`,
		s.stderr.String(),
	)
}

// Whatever a client sends is one line of the log, cut to a size, and no password is in it.
func TestTheLogIsSafe(t *testing.T) {
	s := startServer(t, "-max-failed-logins", "1", "-max-guess-delay", "0s")
	c, _ := s.dial()
	name := "evil\nlevel=ERROR msg=forged \x1b[31m" + strings.Repeat("é", 100)
	c.Send("a LOGIN {"+strconv.Itoa(len(name))+"+}", name+` "pass-1-secret"`)
	c.Rest()

	c, _ = s.dial()
	c.Cmd(
		"a AUTHENTICATE PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00karen\x00pass-2-secret")),
	)
	c.Rest()
	c, _ = s.dial()
	c.Cmd("a AUTHENTICATE PLAIN pass-3-secret!")
	c, _ = s.dial()
	c.Send(`a LOGIN karen "pass-4-secret" pass-5-secret`, "pass-6-secret\x00\x1b[31m")
	c.Rest()

	c, _ = s.dial()
	c.Cmd("a LOGIN bob pass")
	c.Cmd("a FETCH " + strings.Repeat("9", 40_000) + " FLAGS") // go-imap logs what it cannot read

	log := s.stderr.String()
	assert.Contains(t, log, "bad number set value")
	assert.Contains(t, log, `msg=refused command=LOGIN user="evil\nlevel=error msg=forged \x1b[31m`)
	assert.Contains(t, log, "msg=refused command=LOGIN user=karen")
	assert.NotContains(t, log, "secret")
	assert.NotContains(t, log, "\x1b")
	for line := range strings.Lines(log) {
		assert.True(t, strings.HasPrefix(line, "time="), line)
		assert.Less(t, len(line), 10_000)
	}
}

func TestCut(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		strings.Repeat("é", 64):   strings.Repeat("é", 64),
		strings.Repeat("é", 65):   strings.Repeat("é", 63) + "…",
		strings.Repeat("x", 5000): strings.Repeat("x", 63) + "…",
	} {
		assert.Equal(t, want, cut(text, maxLoggedUser))
		assert.LessOrEqual(t, utf8.RuneCountInString(want), maxLoggedUser)
	}
}
