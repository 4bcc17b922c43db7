package vfolders_test

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

// connect logs in to the backend with virtual folders.
func connect(t testing.TB, next vfolders.NewSessionFunc, options *vfolders.Options) *imaptest.Conn {
	server := imaptest.NewServer(t, &imapserver.Options{
		NewSession: vfolders.Wrap(next, options), InsecureAuth: true,
		Caps: imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapSpecialUse: {}, imap.CapListExtended: {}},
	})
	return server.Login("bob", "pass")
}

// answer returns the untagged lines of a command that succeeds, without "* ".
func answer(t testing.TB, c *imaptest.Conn, command string) []string {
	t.Helper()
	lines := c.Cmd("a " + command)
	require.True(t, imaptest.IsOK(lines), "%s: %q", command, lines)
	got := []string{}
	for _, line := range lines[:len(lines)-1] {
		got = append(got, strings.TrimPrefix(line, "* "))
	}
	return got
}

func TestList(t *testing.T) {
	backend := func() *backend {
		return names(
			'/', "Drafts", "INBOX", "#users/Karen/Inbox subscribed", "#users/Karen/Work/2024", "Sent/Old",
			"Sent", "#users/Eve/Inbox",
		)
	}
	tests := map[string][]string{
		`LIST "" *`: {
			`LIST () "/" "Drafts"`, `LIST () "/" INBOX`, `LIST (\HasChildren) "/" "#users"`,
			`LIST (\HasChildren) "/" "#users/Karen"`,
			`LIST () "/" "#users/Karen/Inbox"`, `LIST (\HasChildren) "/" "#users/Karen/Work"`,
			`LIST () "/" "#users/Karen/Work/2024"`,
			`LIST () "/" "Sent/Old"`, `LIST () "/" "Sent"`, `LIST (\HasChildren) "/" "#users/Eve"`,
			`LIST () "/" "#users/Eve/Inbox"`,
		},
		`LIST "" %`: {
			`LIST () "/" "Drafts"`, `LIST () "/" INBOX`, `LIST () "/" "Sent"`,
			`LIST (\HasChildren) "/" "#users"`,
		},
		`LIST "" "#users"`: {`LIST (\HasChildren) "/" "#users"`},
		`LIST "" "#users/%"`: {
			`LIST (\HasChildren) "/" "#users/Eve"`, `LIST (\HasChildren) "/" "#users/Karen"`,
		},
		`LIST "#users/" "%"`: {
			`LIST (\HasChildren) "/" "#users/Eve"`, `LIST (\HasChildren) "/" "#users/Karen"`,
		},
		`LIST "#users" "Karen"`:    {`LIST (\HasChildren) "/" "#users/Karen"`},
		`LIST "#users/" "/#users"`: {`LIST (\HasChildren) "/" "#users"`},
		`LIST "" "#users/K*n"`:     {`LIST (\HasChildren) "/" "#users/Karen"`},
		`LIST "" "%/%/%"`: {
			`LIST () "/" "#users/Karen/Inbox"`, `LIST () "/" "#users/Eve/Inbox"`,
			`LIST (\HasChildren) "/" "#users/Karen/Work"`,
		},
		`LIST "" ("#users" "%/Eve" "Drafts" "#users")`: {
			`LIST () "/" "Drafts"`, `LIST (\HasChildren) "/" "#users"`,
			`LIST (\HasChildren) "/" "#users/Eve"`,
		},
		`LIST "" "#users/Bob"`: {},
		`LIST "" "#user"`:      {},
		`LIST "" "users"`:      {},
		`LIST "other" "%"`:     {},
		`LSUB "" *`:            {`LSUB () "/" "#users/Karen/Inbox"`},
		`LSUB "" %`:            {`LSUB (\Noselect \HasChildren) "/" "#users"`},
		`LSUB "" "#users/%"`: {
			`LSUB (\Noselect \HasChildren) "/" "#users/Karen"`,
		},
		`LIST (SUBSCRIBED) "" %`: {},
		`LIST (SUBSCRIBED RECURSIVEMATCH) "" %`: {
			`LIST (\HasChildren) "/" "#users" (CHILDINFO ("SUBSCRIBED"))`,
		},
		`LIST (SPECIAL-USE) "" *`:             {},
		`LIST (SPECIAL-USE SUBSCRIBED) "" *`:  {},
		`LIST "" "%/Karen" RETURN (CHILDREN)`: {`LIST (\HasChildren) "/" "#users/Karen"`},
		`LIST "" "%/E*e" RETURN (SUBSCRIBED)`: {`LIST (\HasChildren) "/" "#users/Eve"`},
		`LIST "" "%/Ka*n" RETURN (SUBSCRIBED SPECIAL-USE)`: {
			`LIST (\HasChildren) "/" "#users/Karen"`,
		},
		`LIST "" "#%" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE APPENDLIMIT ` +
			`DELETED-STORAGE RECENT))`: {
			`LIST (\HasChildren) "/" "#users"`,
			`STATUS "#users" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 2147483646 UNSEEN 0 DELETED 0 SIZE 0 ` +
				`APPENDLIMIT 0 DELETED-STORAGE 0 RECENT 0)`,
		},
		`LIST "" "S*" RETURN (STATUS (MESSAGES))`: {
			`LIST () "/" "Sent/Old"`, `STATUS "Sent/Old" (MESSAGES 7)`, `LIST () "/" "Sent"`,
			`STATUS "Sent" (MESSAGES 7)`,
		},
		`LIST "" ""`: {},
	}
	for command, want := range tests {
		t.Run(command, func(t *testing.T) {
			assert.Equal(t, want, answer(t, connect(t, backend().session, nil), command))
			limited := &vfolders.Options{Prefixes: []string{"Public/", "#users"}}
			assert.Equal(
				t, want, answer(t, connect(t, backend().session, limited), command), "with prefixes",
			)
		})
	}
}

func TestListOfAVirtualFolderThatCannotBeSelected(t *testing.T) {
	const rev1, extended = `(\Noselect \HasChildren)`, `(\NonExistent \HasChildren)`
	tests := map[string]string{
		`LIST "" #users`:                             `LIST ` + rev1,
		`LIST "" (#users x)`:                         `LIST ` + extended,
		`LIST "" #users RETURN (CHILDREN)`:           `LIST ` + extended,
		`LIST "" #users RETURN (STATUS (UIDNEXT))`:   `LIST ` + extended,
		`LIST (SUBSCRIBED RECURSIVEMATCH) "" #users`: `LIST ` + extended,
		`LSUB "" #users`:                             `LSUB ` + rev1,
	}
	for command, want := range tests {
		c := connect(
			t, names('/', "#users/Karen/Inbox subscribed").session,
			&vfolders.Options{Mode: vfolders.NoSelect},
		)
		childInfo := ""
		if strings.Contains(command, "RECURSIVEMATCH") {
			childInfo = ` (CHILDINFO ("SUBSCRIBED"))`
		}
		assert.Equal(t, []string{want + ` "/" "#users"` + childInfo}, answer(t, c, command), command)
		answer(t, c, "ENABLE IMAP4rev2")
		if strings.HasPrefix(command, "LIST") {
			want = `LIST ` + extended
		}
		assert.Equal(t, []string{want + ` "/" "#users"` + childInfo}, answer(t, c, command), command)
	}
}

func TestListRewritesTheEntriesOfTheBackend(t *testing.T) {
	backend := func() *backend {
		return names('/').
			add('/', "a/b/c", imap.MailboxAttrHasNoChildren).
			add(
				'/', "a", `\nonexistent`, imap.MailboxAttrHasNoChildren, imap.MailboxAttrNoInferiors,
				imap.MailboxAttrMarked, `\Own`, imap.MailboxAttrSubscribed,
			).
			add('/', "a", imap.MailboxAttrNoSelect).
			add('/', "a/b", imap.MailboxAttrNoSelect).
			add('/', "leaf", imap.MailboxAttrNoSelect).
			add('/', "real", imap.MailboxAttrHasChildren, imap.MailboxAttrMarked).
			add('/', "real/x")
	}
	want := []string{
		`LIST (\HasNoChildren) "/" "a/b/c"`, `LIST (\HasChildren \Subscribed \Own) "/" "a"`,
		`LIST (\HasChildren) "/" "a/b"`,
		`LIST (\Noselect) "/" "leaf"`, `LIST (\HasChildren \Marked) "/" "real"`, `LIST () "/" "real/x"`,
	}
	c := connect(t, backend().session, nil)
	assert.Equal(t, want, answer(t, c, `LIST "" *`))
	assert.Equal(t, []string{want[1], want[3], want[4]}, answer(t, c, `LIST "" %`))
	assert.Equal(t, []string{want[2]}, answer(t, c, `LIST "a/" %`))

	c = connect(t, backend().session, &vfolders.Options{Mode: vfolders.NoSelect})
	assert.Equal(
		t, []string{`LIST (\Noselect \HasChildren \Subscribed \Own) "/" "a"`}, answer(t, c, `LIST "" a`),
	)
	assert.Equal(
		t, []string{`LIST (\NonExistent \HasChildren) "/" "a/b"`},
		answer(t, c, `LIST "" a/b RETURN (CHILDREN)`),
	)
}

// An entry of the backend's for a virtual folder is the same one, whichever pattern it matches.
func TestListOfAVirtualFolderWithASpecialUse(t *testing.T) {
	b := names('/', "a/b", "x/y").add('/', "a", imap.MailboxAttrNoSelect, imap.MailboxAttrSent)
	c := connect(t, b.session, nil)
	want := []string{`LIST (\HasChildren \Sent) "/" "a"`}
	for _, pattern := range []string{"*", "%", "a", "a*"} {
		assert.Equal(t, want, answer(t, c, `LIST (SPECIAL-USE) "" `+pattern), pattern)
		assert.Empty(t, answer(t, c, `LIST (SPECIAL-USE SUBSCRIBED) "" `+pattern), pattern)
	}
}

func TestListWithOtherDelimiters(t *testing.T) {
	backend := names(
		'.', "a.b.c",
	).add('\\', `x\y`).
		add(0, "none/at.all").
		add('·', "é·😀").
		add('/', "//u//v/").
		add('/', "inbox/z").
		add('/', "INBOX")
	c := connect(t, backend.session, nil)
	answer(t, c, "ENABLE UTF8=ACCEPT")
	assert.Equal(t, []string{
		`LIST (\HasChildren) "." "a"`, `LIST (\HasChildren) "." "a.b"`, `LIST () "." "a.b.c"`,
		`LIST (\HasChildren) "\\" "x"`, `LIST () "\\" "x\\y"`,
		`LIST () NIL "none/at.all"`,
		`LIST (\HasChildren) "·" "é"`, `LIST () "·" "é·😀"`,
		`LIST (\HasChildren) "/" "//u"`, `LIST (\HasChildren) "/" "//u//v"`, `LIST () "/" "//u//v/"`,
		`LIST () "/" "inbox/z"`, `LIST () "/" INBOX`,
	}, answer(t, c, `LIST "" *`))
	assert.Equal(t, []string{`LIST (\HasChildren) "\\" "x"`}, answer(t, c, `LIST "" "x%"`))
	assert.Equal(t, []string{`LIST (\HasChildren) "·" "é"`}, answer(t, c, `LIST "" "é%"`))

	// A character whose UTF-8 begins as that of the delimiter does.
	c = connect(t, names('·', "a¢b·c").session, nil)
	answer(t, c, "ENABLE UTF8=ACCEPT")
	assert.Equal(t, []string{`LIST (\HasChildren) "·" "a¢b"`}, answer(t, c, `LIST "" "a%b"`))
}

// The same text is another parent where another delimiter cuts it.
func TestAParentThatIsCutInTwoWays(t *testing.T) {
	c := connect(t, names('.', "a/b.c").add('/', "a/b/c").session, nil)
	assert.Equal(t, []string{
		`LIST (\HasChildren) "." "a/b"`, `LIST () "." "a/b.c"`, `LIST (\HasChildren) "/" "a"`,
		`LIST () "/" "a/b/c"`,
	}, answer(t, c, `LIST "" *`))
}

func TestNamesOfAnyKind(t *testing.T) {
	for _, name := range []string{
		`q"uote`, `back\slash`, "&", "&AOk-", "per%cent", "s*tar", "é", "日本", "😀", "a b", "(", "]", "#",
		"{5}",
	} {
		for _, enable := range []string{"NOOP", "ENABLE UTF8=ACCEPT", "ENABLE IMAP4rev2"} {
			client := imaptest.Serve(t, vfolders.Wrap(mover{names('/', "top/"+name+"/"+name)}.session, nil)).
				Client(nil)
			require.NoError(t, client.Login("bob", "pass").Wait())
			if name, ok := strings.CutPrefix(enable, "ENABLE "); ok {
				client.Enable(imap.Cap(name)).Wait()
			}
			list, err := client.List("", "top/%", nil).Collect()
			require.NoError(t, err)
			require.Len(t, list, 1, "%q %s", name, enable)
			assert.Equal(t, "top/"+name, list[0].Mailbox)
			list, err = client.List("", "top/"+name, nil).Collect()
			require.NoError(t, err)
			require.NotEmpty(t, list)
			assert.Equal(t, "top/"+name, list[0].Mailbox, "the others if any match it as a pattern")
			status, err := client.Status("top/"+name, &imap.StatusOptions{NumMessages: true}).Wait()
			require.NoError(t, err)
			assert.Equal(t, "top/"+name, status.Mailbox)
			_, err = client.Select("top/"+name, nil).Wait()
			require.NoError(t, err)
		}
	}
	c := connect(t, names('/', "a\r\nb/c", "d\x00/e", "\xff/x", "top/\xff/x").session, nil)
	assert.Len(t, answer(t, c, `LIST "" *`), 4+1, "no virtual folder but top")
}

func TestNamesOfManyLevels(t *testing.T) {
	levels := strings.Split(strings.Repeat("x", 30), "")
	c := connect(t, names('/', strings.Join(levels, "/")).session, nil)
	assert.Len(t, answer(t, c, `LIST "" *`), 20+1)
	answer(t, c, "STATUS "+strings.Join(levels[:20], "/")+" (MESSAGES)")
	assert.Contains(
		t, imaptest.Last(c.Cmd("a STATUS "+strings.Join(levels[:21], "/")+" (MESSAGES)")), "NO ",
	)
}

func TestListLeavesOtherSubtreesAlone(t *testing.T) {
	b := names('/', "a/b", "Public/Team/x", "Publicity/y", "#users/Karen/Inbox")
	c := connect(t, b.session, &vfolders.Options{Prefixes: []string{"#users/Karen", "Public/"}})
	assert.Equal(t, []string{
		`LIST () "/" "a/b"`, `LIST (\HasChildren) "/" "Public"`, `LIST (\HasChildren) "/" "Public/Team"`,
		`LIST () "/" "Public/Team/x"`,
		`LIST () "/" "Publicity/y"`, `LIST (\HasChildren) "/" "#users/Karen"`,
		`LIST () "/" "#users/Karen/Inbox"`,
	}, answer(t, c, `LIST "" *`))
	assert.Equal(t, []string{"LIST  *"}, b.took())

	assert.Equal(t, []string{`LIST (\HasChildren) "/" "Public"`}, answer(t, c, `LIST "" %`))
	assert.Equal(t, []string{
		"LIST  %", "LIST  ##users/Karen* #users/Karen* PPublic* Public*",
	}, b.took())
	for _, pattern := range []string{"Public/%", "/Public/%", "/Public/%m"} {
		assert.Equal(
			t, []string{`LIST (\HasChildren) "/" "Public/Team"`}, answer(t, c, `LIST "" `+pattern), pattern,
		)
	}
	for _, pattern := range []string{"P%c", "/P%c", "/%c"} {
		assert.Equal(
			t, []string{`LIST (\HasChildren) "/" "Public"`}, answer(t, c, `LIST "" `+pattern), pattern,
		)
	}
	b.took()
	assert.Empty(t, answer(t, c, `LIST "" "other/%"`))
	assert.Equal(t, []string{"LIST  other/%"}, b.took())
	assert.Equal(t, `NO [NONEXISTENT] No such mailbox`, imaptest.Last(c.Cmd("a SELECT a")))
	assert.Equal(t, []string{"SELECT a"}, b.took())
	assert.Equal(t, `NO [NONEXISTENT] No such mailbox`, imaptest.Last(c.Cmd("a SELECT #users")))
	assert.True(t, imaptest.IsOK(c.Cmd("a SELECT Public")))
}

func TestListAsksTheBackendForNoMoreThanItNeeds(t *testing.T) {
	tests := map[string][]string{
		`LIST "" *`:                             {"LIST  *"},
		`LIST "" (x *)`:                         {"LIST  x *"},
		`LIST "" foo*`:                          {"LIST  foo*"},
		`LIST "" INBOX`:                         {"LIST  INBOX", "LIST  INBOX*"},
		`LIST "" foo/%/bar`:                     {"LIST  foo/%/bar", "LIST  foo/*"},
		`LIST "#users/" %`:                      {"LIST #users/ %", "LIST  ##users/* #users/*"},
		`LIST "a*" b`:                           {"LIST a* b", "LIST  a* aa* b*"},
		`LIST "/x" b`:                           {"LIST /x b", "LIST  //x* /x* b*"},
		`LIST "x" /b`:                           {"LIST x /b", "LIST  /b* x* xx*"},
		`LIST "" (é è)`:                         {"LIST  é è", "LIST  *"},
		`LIST "" (foo/a% foo/b)`:                {"LIST  foo/a% foo/b", "LIST  foo/*"},
		`LIST "" * RETURN (SUBSCRIBED)`:         {"LIST  *", "LIST  *"},
		`LIST (SUBSCRIBED) "" *`:                {"LIST  *"},
		`LIST (SUBSCRIBED) "" %`:                {"LIST  %"},
		`LIST (SUBSCRIBED RECURSIVEMATCH) "" %`: {"LIST  %", "LIST  *"},
		`LSUB "" *`:                             {"LIST  *"},
		`LSUB "" %`:                             {"LIST  %", "LIST  *"},
		`LIST (REMOTE) "" *`:                    {"LIST  *", "LIST  *"},
		`LIST "" ""`:                            {"LIST  "},
		`SELECT foo/bar`:                        {"SELECT foo/bar"},
		`STATUS foo/bar (MESSAGES)`:             {"STATUS foo/bar"},
		`SELECT foo`:                            {"SELECT foo", "LIST  foo* ffoo*"},
		`STATUS foo (MESSAGES)`:                 {"STATUS foo", "LIST  foo* ffoo*"},
		`SELECT "*a*a*a*a*a*a*b"`:               {"SELECT *a*a*a*a*a*a*b", "LIST  *"},
	}
	for command, want := range tests {
		b := names('/', "foo/bar/x", "foo/bar")
		c := connect(t, b.session, nil)
		b.took()
		answer(t, c, "ENABLE UTF8=ACCEPT")
		c.Cmd("a " + command)
		assert.Equal(t, want, b.took(), command)
	}
}
