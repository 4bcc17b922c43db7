package mailserver

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// untagged returns the lines before the tagged OK, without the asterisks.
func untagged(t *testing.T, c *imaptest.Conn, command string) []string {
	t.Helper()
	answer := c.Cmd("a " + command)
	requireOK(t, answer)
	lines := answer[:len(answer)-1]
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "* ")
	}
	return lines
}

// refusal returns what the tagged answer says.
func refusal(
	c *imaptest.Conn, command string,
) string {
	return imaptest.Last(c.Cmd("a " + command))
}

// shared starts a server of three users on which karen and bob share something.
func shared(t *testing.T, args ...string) *testServer {
	return startServer(t, append([]string{"-users", "karen:pass,bob:pass,eve:pass",
		"-shared", "karen:inbox", "-shared", "karen:Archive/2025", "-shared", "bob:Sent"}, args...)...)
}

func TestSharedFoldersAreListedToTheOthers(t *testing.T) {
	for mode, want := range map[string][]string{
		"off": {`LIST () "/" "#users/karen/Archive/2025"`, `LIST () "/" "#users/karen/INBOX"`},
		"selectable": {
			`LIST (\Noselect \HasChildren) "/" "#users"`, `LIST (\HasChildren) "/" "#users/karen"`,
			`LIST (\HasChildren) "/" "#users/karen/Archive"`, `LIST () "/" "#users/karen/Archive/2025"`,
			`LIST () "/" "#users/karen/INBOX"`,
		},
		"noselect": {
			`LIST (\Noselect \HasChildren) "/" "#users"`, `LIST (\Noselect \HasChildren) "/" "#users/karen"`,
			`LIST (\Noselect \HasChildren) "/" "#users/karen/Archive"`,
			`LIST () "/" "#users/karen/Archive/2025"`, `LIST () "/" "#users/karen/INBOX"`,
		},
	} {
		t.Run(mode, func(t *testing.T) {
			c := shared(t, "-virtual-folders", mode).selected("bob")
			assert.Equal(t, want, untagged(t, c, `LIST "" #users*`))
			assert.Equal(t, mode == "selectable", imaptest.IsOK(c.Cmd("a SELECT #users/karen")))
			assert.Contains(t, strings.Join(untagged(t, c, `LIST "" *`), "\n"), `"Lists/imap"`)
		})
	}
}

func TestSharedFoldersHaveANamespace(t *testing.T) {
	c := shared(t).selected("bob")
	assert.Equal(
		t, []string{`NAMESPACE (("" "/")) (("#users/" "/")) NIL`}, untagged(t, c, "NAMESPACE"),
	)
	assert.Equal(
		t, []string{`NAMESPACE (("" "/")) NIL NIL`},
		untagged(t, startServer(t).selected("bob"), "NAMESPACE"),
	)
}

func TestASharedFolderIsTheOwners(t *testing.T) {
	s := shared(t)
	bob, karen := s.selected("bob"), s.selected("karen")
	assert.Contains(
		t, untagged(t, bob, "STATUS #users/karen/INBOX (MESSAGES)"),
		`STATUS "#users/karen/INBOX" (MESSAGES 5)`,
	)
	assert.Contains(
		t, untagged(t, bob, `LIST "" #users/karen/I* RETURN (STATUS (MESSAGES))`),
		`STATUS "#users/karen/INBOX" (MESSAGES 5)`,
	)
	requireOK(t, bob.Cmd("a APPEND #users/karen/INBOX {8+}\r\na: b\r\n\r\n"))
	assert.Contains(t, untagged(t, karen, "NOOP"), "6 EXISTS")

	untagged(t, bob, "SELECT #users/karen/INBOX")
	untagged(t, bob, `STORE 6 +FLAGS (\Flagged \Deleted)`)
	assert.Contains(t, untagged(t, karen, "SEARCH FLAGGED"), "SEARCH 6")
	bob.Send("a IDLE")
	assert.Equal(t, "+ idling", bob.Line())
	requireOK(t, karen.Cmd("a APPEND INBOX {8+}\r\nc: d\r\n\r\n"))
	bob.Send("DONE")
	assert.Contains(t, bob.Answer("a"), "* 7 EXISTS") // in IDLE, or at its end if it had hardly begun
	untagged(t, bob, "EXPUNGE")
	assert.Contains(t, strings.Join(untagged(t, karen, "NOOP"), "\n"), "6 EXPUNGE")
	untagged(t, bob, "CLOSE")
	assert.Equal(
		t, []string{"STATUS INBOX (MESSAGES 5)"}, untagged(t, bob, "STATUS INBOX (MESSAGES)"),
		"bob's own has not changed",
	)
}

// What is not shared with a user is as unknown as what does not exist.
func TestNothingElseOfOthersIsSeen(t *testing.T) {
	s := shared(t, "-virtual-folders", "off")
	c := s.selected("bob")
	for _, mailbox := range []string{
		"#users", "#users/", "#users/karen", "#users/karen/Drafts", "#users/karen/INBOX/x",
		"#users/bob/Sent", "#users/eve/INBOX",
	} {
		for _, command := range []string{
			"SELECT ?", "EXAMINE ?", "STATUS ? (MESSAGES)", "SUBSCRIBE ?", "UNSUBSCRIBE ?",
		} {
			command = strings.ReplaceAll(command, "?", mailbox)
			assert.Equal(t, "NO [NONEXISTENT] No such mailbox", refusal(c, command), command)
		}
		assert.Equal(
			t, "NO [NONEXISTENT] No such mailbox", refusal(c, "APPEND "+mailbox+" {8+}\r\na: b\r\n\r\n"),
		)
		requireOK(t, c.Cmd("a SELECT INBOX"))
		for _, command := range []string{"COPY 1 ", "MOVE 1 "} {
			assert.Equal(
				t, "NO [NONEXISTENT] No such mailbox", refusal(c, command+mailbox),
				"never a reason to try CREATE",
			)
		}
		for _, command := range []string{
			"CREATE ", "DELETE ", "RENAME Drafts ", "RENAME " + mailbox + " ",
		} {
			if command[:3] == "REN" && command[7] == '#' {
				command += "x"
			} else {
				command += mailbox
			}
			assert.Equal(
				t, "NO [CANNOT] This part of the tree is for what other users share", refusal(c, command),
				command,
			)
		}
	}
	assert.Equal(
		t, "NO [CANNOT] This part of the tree is for what other users share",
		refusal(c, "DELETE #users/karen/INBOX"),
	)
	assert.Empty(t, untagged(t, s.selected("eve"), `LIST "#users/karen/" Drafts`))
}

func TestASharedFolderGoesAndComesBack(t *testing.T) {
	s := shared(t)
	bob, karen := s.selected("bob"), s.selected("karen")
	untagged(t, bob, "SUBSCRIBE #users/karen/Archive/2025")
	untagged(t, karen, "DELETE Archive/2025")
	assert.Empty(
		t, untagged(t, bob, `LIST "#users/" * RETURN (STATUS (MESSAGES))`)[4:],
		"what is left is karen's INBOX with its parents",
	)
	assert.Empty(t, untagged(t, bob, `LSUB "#users/" *2025`))
	assert.Contains(
		t, refusal(bob, "APPEND #users/karen/Archive/2025 {8+}\r\na: b\r\n\r\n"), "NO [NONEXISTENT]",
	)
	assert.Contains(t, refusal(bob, "SELECT #users/karen/Archive"), "NO [NONEXISTENT]")
	untagged(t, karen, "CREATE Archive/2025")
	assert.Len(t, untagged(t, bob, `LSUB "#users/" *2025`), 1)
}

func TestSubscriptionsToSharedFolders(t *testing.T) {
	s := shared(t, "-virtual-folders", "off")
	bob, eve := s.selected("bob"), s.selected("eve")
	untagged(t, bob, "SUBSCRIBE #users/karen/INBOX")
	assert.Equal(
		t, []string{`LSUB (\Subscribed) "/" "#users/karen/INBOX"`}, untagged(t, bob, `LSUB "#users/" *`),
	)
	assert.Equal(
		t, []string{`LIST (\Subscribed) "/" "#users/karen/INBOX"`},
		untagged(t, s.selected("bob"), `LIST (SUBSCRIBED) "#users/" *`),
	)
	assert.Empty(t, untagged(t, eve, `LSUB "#users/" *`))
	untagged(t, bob, "UNSUBSCRIBE #users/karen/INBOX")
	assert.Empty(t, untagged(t, bob, `LSUB "#users/" *`))

	assert.Contains(t, untagged(t, bob, `LSUB "" Sent`), `LSUB (\Subscribed) "/" "Sent"`)
	untagged(t, bob, "UNSUBSCRIBE Sent")
	assert.Empty(t, untagged(t, bob, `LSUB "" Sent`))
	untagged(t, bob, "SUBSCRIBE Sent")
	assert.Len(t, untagged(t, bob, `LSUB "" Sent`), 1)
}

func TestCopyAndMoveFromUserToUser(t *testing.T) {
	s := shared(t)
	bob := s.selected("bob")
	what := "(FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"
	own := untagged(t, bob, "FETCH 2 "+what)[0]

	assert.Equal(
		t, "OK [COPYUID 1 1:2 6:7] COPY completed", refusal(bob, "COPY 1:2 #users/karen/INBOX"),
	)
	assert.Contains(t, refusal(bob, "COPY 77 #users/karen/INBOX"), "OK ")
	assert.Equal(
		t, []string{"OK [COPYUID 1 5 8] ", "5 EXPUNGE"},
		trimTexts(untagged(t, bob, "MOVE 5 #users/karen/INBOX"))[:2],
	)
	assert.Equal(t, "4", exists(t, bob, "INBOX"))

	assert.Equal(t, "8", exists(t, bob, "#users/karen/INBOX"))
	assert.Equal(
		t, strings.TrimPrefix(own, "2 FETCH (UID 2 "),
		strings.TrimPrefix(untagged(t, bob, "FETCH 7 "+what)[0], "7 FETCH (UID 7 "),
	)
	assert.Contains(t, refusal(bob, "COPY 1 Nowhere"), "NO [TRYCREATE]")
	assert.Contains(t, refusal(bob, "UID MOVE 1 Nowhere"), "NO [TRYCREATE]")
	assert.Contains(
		t, refusal(bob, "COPY 1 #users/karen/INBOX"), "NO Source and destination mailboxes are identical",
	)
	assert.Equal(
		t, "OK [COPYUID 6 8 1] COPY completed", refusal(bob, "COPY 8 Sent"), "out of karen's into bob's",
	)
	assert.Equal(
		t, "OK COPY completed", refusal(bob, "UID COPY 77 #users/karen/Archive/2025"),
		"between two of karen's",
	)
	assert.Equal(
		t, "OK [COPYUID 3 8 1] COPY completed", refusal(bob, "COPY 8 #users/karen/Archive/2025"),
	)
	untagged(t, bob, "MOVE 8 #users/karen/Archive/2025")
	assert.Equal(t, "2", exists(t, bob, "#users/karen/Archive/2025"))
	assert.Equal(t, "1", exists(t, bob, "Sent"))
}

// exists selects the mailbox and returns how many messages it has.
func exists(t *testing.T, c *imaptest.Conn, mailbox string) string {
	t.Helper()
	for _, line := range untagged(t, c, "SELECT "+mailbox) {
		if n, ok := strings.CutSuffix(line, " EXISTS"); ok {
			return n
		}
	}
	require.FailNow(t, "no EXISTS")
	return ""
}

// trimTexts cuts what follows a response code.
func trimTexts(lines []string) []string {
	for i, line := range lines {
		if end := strings.Index(line, "] "); end >= 0 {
			lines[i] = line[:end+2]
		}
	}
	return lines
}

// Virtual folders are only where -virtual-folders-prefix says.
func TestVirtualFolderPrefix(t *testing.T) {
	for prefix, virtual := range map[string]bool{"#users": true, "Public": false} {
		s := startServer(t, "-shared", "bob:Archive", "-virtual-folders-prefix", prefix)
		folders := strings.Join(untagged(t, s.selected("karen"), `LIST "" %`), "\n")
		assert.Equal(t, virtual, strings.Contains(folders, `"#users"`), folders)
	}
}
