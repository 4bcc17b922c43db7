package mailserver

import (
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
)

var numbered = regexp.MustCompile(`^\* (\d+ (?:EXISTS|EXPUNGE|FETCH \(UID \d+))`)

// news returns what an answer says of messages by their numbers, without more than their UIDs.
func news(answer []string) []string {
	all := []string{}
	for _, line := range answer {
		if m := numbered.FindStringSubmatch(line); m != nil {
			all = append(all, m[1])
		}
	}
	return all
}

// withAndWithoutSharing runs the test with a backend whose MOVE is its own, and with one whose MOVE
// goes through copymeta. Karen has 5 messages.
func withAndWithoutSharing(t *testing.T, test func(t *testing.T, s *imaptest.Server)) {
	t.Run("without", func(t *testing.T) { test(t, serveStack(t)) })
	t.Run("with", func(t *testing.T) { test(t, serveStack(t, "-shared", "bob:Archive")) })
}

// opened returns a session of karen that has opened INBOX with the command.
func opened(t *testing.T, s *imaptest.Server, command string) *imaptest.Conn {
	c := s.Login("karen", "pass")
	requireOK(t, c.Cmd("open "+command+" INBOX"))
	return c
}

func TestMoveTellsOnceOfEachMessage(t *testing.T) {
	withAndWithoutSharing(t, func(t *testing.T, s *imaptest.Server) {
		c := opened(t, s, "SELECT")
		answer := c.Cmd("a MOVE 1 Sent")
		assert.Equal(t, "* OK [COPYUID 6 1 1] ", trimTexts(answer)[0])
		assert.Equal(t, []string{"* 1 EXPUNGE", "a OK MOVE completed"}, answer[1:])
		assert.Equal(t, []string{"2 EXPUNGE", "1 EXPUNGE"}, news(c.Cmd("a UID MOVE 2:3 Sent")))
		assert.Equal(t, "* SEARCH 4 5", c.Cmd("a UID SEARCH ALL")[0])
		for _, nothing := range []string{"MOVE 7 Sent", "UID MOVE 1 Sent"} {
			assert.Len(t, c.Cmd("a "+nothing), 1)
		}
		assert.Contains(t, refusal(c, "MOVE 1 Nowhere"), "NO [TRYCREATE]")
		assert.Contains(t, c.Cmd("a SELECT Sent"), "* 3 EXISTS")
		assert.Contains(t, c.Cmd(`a FETCH 1 FLAGS`), `* 1 FETCH (UID 1 FLAGS (\seen))`)
	})
}

// Each client reads the numbers that it knows the messages by, which are not those of the backend
// when another one has changed the mailbox.
func TestNumbersOfTwoSessions(t *testing.T) {
	withAndWithoutSharing(t, func(t *testing.T, s *imaptest.Server) {
		c, other := opened(t, s, "SELECT"), opened(t, s, "SELECT")
		requireOK(t, other.Cmd(`a STORE 1,3 +FLAGS.SILENT (\Deleted)`))
		assert.Equal(t, []string{"1 EXPUNGE"}, news(other.Cmd("a UID EXPUNGE 1")))
		assert.Equal(t, []string{"2 EXPUNGE"}, news(other.Cmd("a EXPUNGE")))
		assert.Equal(
			t, []string{"2 FETCH (UID 2", "4 FETCH (UID 4", "1 FETCH (UID 1", "3 FETCH (UID 3"},
			news(c.Cmd("a FETCH 1:4 UID")), "asked for, and then those that got a flag",
		)
		assert.Equal(
			t, []string{"1 EXPUNGE", "2 EXPUNGE", "2 EXPUNGE"},
			without(news(c.Cmd("a MOVE 4 Sent")), "FETCH"),
		)
		assert.Equal(t, "* SEARCH 2 5", c.Cmd("a UID SEARCH ALL")[0])
		assert.Equal(t, []string{"2 FETCH (UID 4", "2 EXPUNGE"}, news(other.Cmd("a NOOP")))

		requireOK(t, c.Cmd(`a STORE 1 +FLAGS.SILENT (\Deleted)`))
		assert.Empty(t, news(c.Cmd("a CLOSE")))
		assert.Equal(t, []string{"1 FETCH (UID 2", "1 EXPUNGE"}, news(other.Cmd("a NOOP")))
		assert.Equal(t, "* SEARCH 5", other.Cmd("a UID SEARCH ALL")[0])
	})
}

// without returns the news that do not have the word in them.
func without(news []string, word string) []string {
	return slices.DeleteFunc(news, func(line string) bool { return strings.Contains(line, word) })
}

// A message has no number before the client has been told of it.
func TestAMessageThatTheClientDoesNotKnowOf(t *testing.T) {
	withAndWithoutSharing(t, func(t *testing.T, s *imaptest.Server) {
		c, other := opened(t, s, "SELECT"), opened(t, s, "SELECT")
		for _, test := range []struct {
			command string
			want    []string
		}{
			{"UID FETCH 5:6 FLAGS", []string{"5 FETCH (UID 5", "6 EXISTS"}},
			{`UID STORE 6:7 +FLAGS (\Seen)`, []string{"6 FETCH (UID 6", "7 EXISTS"}},
			{"FETCH 7:8 FLAGS", []string{"7 FETCH (UID 7", "8 EXISTS"}},
			{"UID MOVE 9 Sent", []string{"9 EXISTS", "9 EXPUNGE"}},
		} {
			requireOK(t, other.Cmd("a APPEND INBOX {8+}\r\na: b\r\n\r\n"))
			assert.Equal(t, test.want, without(news(c.Cmd("a "+test.command)), "FETCH (UID 9"), test.command)
		}
	})
}

// Whether the news comes before IDLE, in its first second or later.
func TestIdleTellsAllNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveStack(t)
		c, other := opened(t, s, "SELECT"), opened(t, s, "SELECT")
		arrives := func() { requireOK(t, other.Cmd("a APPEND INBOX {8+}\r\na: b\r\n\r\n")) }
		arrives()
		c.Send("a IDLE")
		assert.Equal(t, "+ idling", c.Line())
		assert.Equal(t, "* 6 EXISTS", c.Line())
		for _, want := range []string{"* 7 EXISTS", "* 8 EXISTS"} {
			time.Sleep(700 * time.Millisecond)
			arrives()
			assert.Equal(t, want, c.Line())
		}
		c.Send("DONE")
		assert.Equal(t, []string{"a OK IDLE completed"}, c.Answer("a"))
	})
}

func TestNothingChangesAMailboxThatIsOnlyExamined(t *testing.T) {
	withAndWithoutSharing(t, func(t *testing.T, s *imaptest.Server) {
		other := opened(t, s, "SELECT")
		requireOK(t, other.Cmd(`a STORE 1 +FLAGS.SILENT (\Deleted)`))
		c := opened(t, s, "EXAMINE")
		for _, command := range []string{
			`STORE 1 +FLAGS (\Seen)`, "EXPUNGE", "UID EXPUNGE 1", "MOVE 1 Sent",
		} {
			assert.Equal(t, "NO The mailbox is read-only", refusal(c, command), command)
		}
		requireOK(t, c.Cmd("a FETCH 3 BODY[]"))
		requireOK(t, c.Cmd("a COPY 1 Sent"))
		requireOK(t, c.Cmd("a CLOSE"))
		assert.Empty(t, news(other.Cmd("a NOOP")))
	})
}

// The documentation of the program says so. When go-imap forgets nothing any more this test fails,
// and both can go.
func TestSizesThatSearchForgets(t *testing.T) {
	c := opened(t, serveStack(t), "SELECT")
	for criteria, want := range map[string]string{
		"SMALLER 2 SINCE 1-Oct-2025": "* SEARCH 1 2 3 4 5", "SINCE 1-Oct-2025 SMALLER 2": "* SEARCH",
		"SMALLER 2 LARGER 1": "* SEARCH 1 2 3 4 5", "LARGER 1 SMALLER 2": "* SEARCH",
		"SMALLER 0": "* SEARCH 1 2 3 4 5",
	} {
		assert.Equal(t, want, c.Cmd("a SEARCH " + criteria)[0], criteria)
	}
}

// With so many messages the second session waits for the first one's COPY, and comes before its
// EXPUNGE when MOVEs do not take turns.
func TestTwoSessionsThatMoveOneMessageLeaveOneCopy(t *testing.T) {
	for range 10 {
		b, err := newBackend(&settings{accounts: []account{{"karen", "pass"}}}, slog.Default())
		require.NoError(t, err)
		for range 2995 {
			m := strings.NewReader("a: b\r\n\r\n")
			_, err := b.users["karen"].Append("INBOX", m, &imap.AppendOptions{})
			require.NoError(t, err)
		}
		s := imaptest.Serve(t, b.NewSession)
		var moves sync.WaitGroup
		for range 2 {
			c := opened(t, s, "SELECT")
			moves.Go(func() { c.Cmd("a UID MOVE 1:* Sent") })
		}
		moves.Wait()
		assert.Contains(t, s.Login("karen", "pass").Cmd("a SELECT Sent"), "* 3000 EXISTS")
	}
}
