package copymeta_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

var (
	past  = time.Date(1994, time.July, 3, 20, 21, 22, 0, time.FixedZone("", 3600))
	reset = &copymeta.Options{InternalDate: copymeta.Reset, Flags: copymeta.Reset}
)

// karen returns a user of imapmemserver with n messages in INBOX, "one" and so on, which are seen
// and have a keyword.
func karen(n int) *imapmemserver.User {
	user := imaptest.User("karen", "Archive")
	for i := range n {
		options := &imap.AppendOptions{Time: past, Flags: []imap.Flag{imap.FlagSeen, "$forwarded"}}
		message := strings.NewReader(fmt.Sprintf("Subject: %d\r\n\r\nbody %[1]d", i+1))
		if _, err := user.Append("INBOX", message, options); err != nil {
			panic(err)
		}
	}
	return user
}

// login returns a client of the user that has selected INBOX.
func login(t testing.TB, user *imapmemserver.User, options *copymeta.Options) *imaptest.Conn {
	c := imaptest.Serve(t, copymeta.Wrap(imaptest.Memory(user), options)).Login("karen", "pass")
	c.Cmd("s SELECT INBOX")
	return c
}

// archive returns what a client sees in Archive, and then selects INBOX again.
func archive(c *imaptest.Conn) []string {
	c.Cmd("s SELECT Archive")
	lines := c.Cmd("f FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[])")
	c.Cmd("s SELECT INBOX")
	return lines[:len(lines)-1]
}

func TestResetMakesANewMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := login(t, karen(2), reset)
		time.Sleep(20 * time.Minute)
		assert.Equal(
			t, "OK [COPYUID 2 1:2 1:2] COPY completed", imaptest.Last(c.Cmd("a COPY 1:2 Archive")),
		)
		assert.Equal(t, []string{
			"* 1 FETCH (UID 1 FLAGS () INTERNALDATE \" 1-Jan-2000 00:20:00 +0000\" BODY[] {20}\r\n" +
				"Subject: 1\r\n\r\nbody 1)",
			"* 2 FETCH (UID 2 FLAGS () INTERNALDATE \" 1-Jan-2000 00:20:00 +0000\" BODY[] {20}\r\n" +
				"Subject: 2\r\n\r\nbody 2)",
		}, utc(archive(c)))
	})
}

// utc removes what depends on where the test runs.
func utc(lines []string) []string {
	local := time.Date(2000, time.January, 1, 0, 20, 0, 0, time.UTC).
		Local().
		Format("_2-Jan-2006 15:04:05 -0700")
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], local, " 1-Jan-2000 00:20:00 +0000")
	}
	return lines
}

func TestEachPolicyIsOnItsOwn(t *testing.T) {
	const old, flags = "\" 3-Jul-1994 20:21:22 +0100\"", `\Flagged $Label1`
	for _, test := range []struct {
		date, flags           copymeta.Policy
		wantOld, wantFlags    bool
		wantBackendsOwnCopies int
	}{
		{copymeta.Keep, copymeta.Keep, false, false, 1}, {copymeta.Keep, copymeta.Reset, true, false, 0},
		{copymeta.Reset, copymeta.Keep, false, true, 0},
		{copymeta.Reset, copymeta.Preserve, false, true, 0},
		{copymeta.Preserve, copymeta.Reset, true, false, 0},
		{copymeta.Preserve, copymeta.Preserve, true, true, 0},
		{copymeta.Preserve, copymeta.Keep, true, true, 0},
	} {
		t.Run(fmt.Sprint(test.date, " ", test.flags), func(t *testing.T) {
			b := newBackend(
				stored{
					date:    past,
					flags:   []imap.Flag{imap.FlagFlagged, "$Label1", `\Recent`, `\rEcEnT`},
					content: "x",
				},
			)
			c := open(t, b, &copymeta.Options{InternalDate: test.date, Flags: test.flags})
			assert.Equal(t, "OK [COPYUID 7 1 41] COPY completed", imaptest.Last(c.Cmd("a COPY 1 Archive")))
			line := archive(c)[0]
			assert.Equal(t, test.wantOld, strings.Contains(line, old), line)
			assert.Equal(t, test.wantFlags, strings.Contains(line, "FLAGS ("+flags+")"), line)
			assert.Equal(t, !test.wantFlags, strings.Contains(line, "FLAGS ()"), line)
			assert.Len(t, b.mailboxes["INBOX"].messages[0].flags, 4, "the source's own flags")
			assert.Equal(
				t, test.wantBackendsOwnCopies, strings.Count(strings.Join(b.calls, "\n"), "COPY "), b.calls,
			)
		})
	}
}

func TestTheSourceIsNotTouched(t *testing.T) {
	user := imaptest.User("karen", "Archive")
	user.Append("INBOX", strings.NewReader("A: b\r\n\r\n"), &imap.AppendOptions{Time: past})
	c := login(t, user, reset)
	require.True(t, imaptest.IsOK(c.Cmd("a COPY 1 Archive")))
	assert.Equal(
		t, "* 1 FETCH (UID 1 FLAGS () INTERNALDATE \" 3-Jul-1994 20:21:22 +0100\")",
		c.Cmd("b FETCH 1 (FLAGS INTERNALDATE)")[0],
	)
}

func TestEverySetMeansWhatItMeansToTheBackend(t *testing.T) {
	for _, test := range []struct{ prepare, command, copyUID string }{
		{"NOOP", "COPY 2", "2 2 1"}, {"NOOP", "COPY 3,1", "2 1,3 1:2"}, {"NOOP", "COPY *", "2 5 1"},
		{"NOOP", "COPY 4:*", "2 4:5 1:2"}, {"NOOP", "COPY 9", ""},
		{"NOOP", "UID COPY 1:2,4,77,90:100", "2 1:2,4 1:3"}, {"NOOP", "UID COPY *", "2 5 1"},
		{"NOOP", "UID COPY 9:*", "2 5 1"}, {"NOOP", "UID COPY 900:901", ""},
		{"SEARCH RETURN (SAVE) SUBJECT 3", "COPY $", "2 3 1"},
		{"SEARCH RETURN (SAVE) OR SUBJECT 3 SUBJECT 5", "UID COPY $", "2 3,5 1:2"},
		{"SEARCH RETURN (SAVE) SUBJECT none", "COPY $", ""},
	} {
		t.Run(test.prepare+" "+test.command, func(t *testing.T) {
			c := login(t, karen(5), reset)
			require.True(t, imaptest.IsOK(c.Cmd("p "+test.prepare)))
			want := "OK COPY completed"
			if test.copyUID != "" {
				want = "OK [COPYUID " + test.copyUID + "] COPY completed"
			}
			assert.Equal(t, want, imaptest.Last(c.Cmd("a "+test.command+" Archive")))
		})
	}
}

func TestMessagesThatAnotherClientExpunged(t *testing.T) {
	user := karen(4)
	server := imaptest.Serve(t, copymeta.Wrap(imaptest.Memory(user), reset))
	one, other := server.Login("karen", "pass"), server.Login("karen", "pass")
	one.Cmd("s SELECT INBOX")
	other.Cmd("s SELECT INBOX")
	other.Cmd(`a STORE 2 +FLAGS.SILENT (\Deleted)`)
	other.Cmd("b EXPUNGE")

	// To the first client, who has not heard of it, 3 is still the third of four.
	answer := one.Cmd("a COPY 2:3 Archive")
	assert.Equal(t, "OK [COPYUID 2 3 1] COPY completed", imaptest.Last(answer))
	assert.Contains(t, answer, "* 2 EXPUNGE")
	assert.Equal(t, "OK [COPYUID 2 3 2] COPY completed", imaptest.Last(one.Cmd("a COPY 2 Archive")))
}

func TestMessagesThatTheClientHasNotHeardOf(t *testing.T) {
	user := karen(1)
	c := login(t, user, reset)
	for range 3 {
		user.Append("INBOX", strings.NewReader("A: b\r\n\r\n"), &imap.AppendOptions{})
	}
	assert.Equal(
		t, "OK [COPYUID 2 1:4 1:4] COPY completed", imaptest.Last(c.Cmd("a UID COPY 1:* Archive")),
	)
}

// imapmemserver's own COPY refuses that.
func TestCopyToTheSelectedMailbox(t *testing.T) {
	b := newBackend(stored{content: "one"}, stored{content: "two"})
	c := open(t, b, reset)
	assert.Equal(t, "OK [COPYUID 1 1:2 3:4] COPY completed", imaptest.Last(c.Cmd("a COPY 1:* INBOX")))
	assert.Equal(t, []string{"one", "two", "one", "two"}, contents(b.mailboxes["INBOX"]))

	c = login(t, karen(2), reset)
	assert.Equal(
		t, []string{"* 3 EXISTS", "* 4 EXISTS", "a OK [COPYUID 1 1:2 3:4] COPY completed"},
		c.Cmd("a COPY 1:* INBOX"),
	)
	c = login(t, karen(2), resetMove)
	assert.Equal(
		t, []string{
			"* OK [COPYUID 1 1 3] COPY completed", "* 3 EXISTS", "* 1 EXPUNGE", "a OK MOVE completed",
		}, c.Cmd("a MOVE 1 INBOX"),
	)
}

func TestCopyUIDPairsInOrder(t *testing.T) {
	b := newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"})
	inbox := b.mailboxes["INBOX"].messages
	// FETCH answers in any order.
	b.mailboxes["INBOX"].messages[0], b.mailboxes["INBOX"].messages[2] = inbox[2], inbox[0]
	c := open(t, b, reset)
	assert.Equal(
		t, "OK [COPYUID 7 1:3 41:43] COPY completed", imaptest.Last(c.Cmd("a COPY 1:* Archive")),
	)
	assert.Equal(t, []string{"one", "two", "three"}, contents(b.mailboxes["Archive"]))
}

func TestWithoutUIDsOfTheBackendThereIsNoCopyUID(t *testing.T) {
	b := newBackend(stored{content: "one"}, stored{content: "two"})
	b.noUIDs = true
	c := open(t, b, reset)
	assert.Equal(t, "OK COPY completed", imaptest.Last(c.Cmd("a COPY 1:* Archive")))
	assert.Equal(t, []string{"one", "two"}, contents(b.mailboxes["Archive"]))

	b.noUIDs, b.recreated = false, true // also before the first APPEND, which harms no copy
	assert.Equal(t, "OK [COPYUID 8 2 43] COPY completed", imaptest.Last(c.Cmd("c COPY 2 Archive")))
}

func TestKeepOfAMessageWithoutADate(t *testing.T) {
	b := newBackend(stored{content: "x"})
	c := open(t, b, &copymeta.Options{Flags: copymeta.Reset})
	assert.True(t, imaptest.IsOK(c.Cmd("a COPY 1 Archive")))
	assert.True(t, b.mailboxes["Archive"].messages[0].date.IsZero(), "the backend is to choose")
}

func TestPolicyForDecidesForEachCopy(t *testing.T) {
	b := newBackend(stored{content: "x", date: past})
	b.mailboxes["Other"] = &mailbox{}
	var asked []string
	c := open(
		t,
		b,
		&copymeta.Options{PolicyFor: func(source, dest string) (date, flags copymeta.Policy) {
			asked = append(asked, source+" to "+dest)
			switch dest {
			case "Archive":
				return copymeta.Preserve, copymeta.Keep
			case "Wrong":
				return 0, 3
			}
			return copymeta.Keep, copymeta.Keep
		}},
	)
	c.Cmd("a COPY 1 Archive")
	c.Cmd("a COPY 1 Other")
	c.Cmd("a SELECT Archive")
	c.Cmd("a COPY 1 inbox")
	assert.Equal(t, []string{"INBOX to Archive", "INBOX to Other", "Archive to INBOX"}, asked)
	assert.Equal(t, []string{"FETCH 1", "FETCH 1 whole", "APPEND", "COPY 1", "COPY 1"}, b.calls)
	assert.True(t, past.Equal(b.mailboxes["Archive"].messages[0].date))

	assert.Equal(t, "NO [SERVERBUG] Internal server error", imaptest.Last(c.Cmd("a COPY 1 Wrong")))
}

func TestACopierIsUsedInstead(t *testing.T) {
	b := &withCopier{backend: newBackend(stored{content: "x"}), data: &imap.CopyData{
		UIDValidity: 5, SourceUIDs: imap.UIDSetNum(1), DestUIDs: imap.UIDSetNum(9),
	}}
	c := open(t, b, &copymeta.Options{Flags: copymeta.Reset})
	assert.Equal(
		t, "OK [COPYUID 5 1 9] COPY completed", imaptest.Last(c.Cmd("a UID COPY 1:* Archive")),
	)
	b.data = &imap.CopyData{UIDValidity: 5}
	assert.Equal(t, "OK COPY completed", imaptest.Last(c.Cmd("a COPY 2 Archive")))
	b.err = noSuchMailbox
	assert.Equal(
		t, "NO [TRYCREATE] Backend has no such mailbox", imaptest.Last(c.Cmd("a COPY $ Nowhere")),
	)
	assert.Equal(t, []string{
		"COPYMETA imap.UIDSet 1:* Archive keep reset", "COPYMETA imap.SeqSet 2 Archive keep reset",
		"COPYMETA imap.UIDSet $ Nowhere keep reset",
	}, b.calls)
}

func TestSessionsSideBySide(t *testing.T) {
	const clients, rounds = 4, 10
	server := imaptest.Serve(t, copymeta.Wrap(imaptest.Memory(karen(20)), resetMove))
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			c := server.Login("karen", "pass")
			from, to := "INBOX", "Archive"
			if i%2 == 1 {
				from, to = to, from
			}
			c.Cmd("s SELECT " + from)
			for range rounds {
				assert.True(t, imaptest.IsOK(c.Cmd("a UID COPY 1:5 "+to)))
				assert.True(t, imaptest.IsOK(c.Cmd("b UID MOVE 6:7 "+to)))
			}
		})
	}
	all.Wait()
	assert.Empty(t, server.Log())
}
