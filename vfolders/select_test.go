package vfolders_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

func TestSelect(t *testing.T) {
	b := names('/', "#users/Karen/Inbox", "Drafts")
	c := connect(t, b.session, nil)
	want := []string{
		"* 0 EXISTS", "* 0 RECENT", "* OK [UIDVALIDITY 2147483646] UIDs valid",
		"* OK [UIDNEXT 1] Predicted next UID",
		`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft)`, "* OK [PERMANENTFLAGS ()] Permanent flags",
	}
	assert.Equal(t, append(want, "a OK [READ-WRITE] SELECT completed"), c.Cmd("a SELECT #users"))
	closed := []string{"* OK [CLOSED] Previous mailbox is now closed"}
	assert.Equal(
		t, append(append(closed, want...), "a OK [READ-ONLY] EXAMINE completed"),
		c.Cmd("a EXAMINE #users/Karen"),
	)
	assert.Equal(
		t, []string{
			"SELECT #users", "LIST  #users* ##users*", "SELECT #users/Karen",
			"LIST  #users/Karen* ##users/Karen*",
		},
		b.took(), "no UNSELECT",
	)
	answer(t, c, "CLOSE")

	answer(t, c, "ENABLE IMAP4rev2")
	assert.Contains(t, answer(t, c, "SELECT #users"), `LIST (\HasChildren) "/" "#users"`)
}

func TestStatus(t *testing.T) {
	c := connect(t, names('/', "#users/Karen/Inbox").session, nil)
	assert.Equal(t, []string{
		`STATUS "#users/Karen" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 2147483646 UNSEEN 0 DELETED 0 SIZE 0 ` +
			`APPENDLIMIT 0 DELETED-STORAGE 0 RECENT 0)`,
	}, answer(
		t, c, "STATUS #users/Karen (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE APPENDLIMIT "+
			"DELETED-STORAGE RECENT)",
	))
	assert.Equal(t, []string{`STATUS "#users" (UNSEEN 0)`}, answer(t, c, "STATUS #users (UNSEEN)"))
	assert.Equal(
		t, []string{`STATUS "#users/Karen/Inbox" (UIDNEXT 8)`},
		answer(t, c, "STATUS #users/Karen/Inbox (UIDNEXT)"),
	)
}

func TestWhatIsNoVirtualFolderGetsTheBackendsAnswer(t *testing.T) {
	b := names('/', "#users/Karen/Inbox").add('/', "leaf", imap.MailboxAttrNoSelect)
	c := connect(t, b.session, nil)
	for _, name := range []string{
		"#users/Bob", "#user", "users", "#users/", "#users/Karen/", "leaf", `""`, "#USERS", "&AAoADQ-",
	} {
		assert.Equal(t, "NO [NONEXISTENT] No such mailbox", imaptest.Last(c.Cmd("a SELECT "+name)), name)
		assert.Equal(
			t, "NO [NONEXISTENT] No such mailbox", imaptest.Last(c.Cmd("a STATUS "+name+" (MESSAGES)")),
			name,
		)
	}
}

type failing struct {
	*backend
	err error
}

func (f *failing) session(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return f, nil, nil
}

func (f *failing) Select(
	string, *imap.SelectOptions,
) (*imap.SelectData, error) {
	return nil, f.err
}

func (f *failing) Status(
	string, *imap.StatusOptions,
) (*imap.StatusData, error) {
	return nil, f.err
}

func TestOnlyAnAnswerThatMayMeanNoneMakesUsLook(t *testing.T) {
	f := &failing{backend: names('/', "a/b")}
	c := connect(t, f.session, nil)
	for code, want := range map[imap.ResponseCode]string{
		"":                           "OK [READ-WRITE] SELECT completed",
		imap.ResponseCodeNoPerm:      "OK [READ-WRITE] SELECT completed",
		imap.ResponseCodeCannot:      "OK [READ-WRITE] SELECT completed",
		imap.ResponseCodeTryCreate:   "OK [READ-WRITE] SELECT completed",
		imap.ResponseCodeUnavailable: "NO [UNAVAILABLE] text",
		imap.ResponseCodeServerBug:   "NO [SERVERBUG] text",
	} {
		f.err = &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: "text"}
		assert.Equal(t, want, imaptest.Last(c.Cmd("a SELECT a")))
	}
	f.err = &imap.Error{Type: imap.StatusResponseTypeBad, Text: "text"}
	assert.Equal(t, "BAD text", imaptest.Last(c.Cmd("a SELECT a")))
}

// A backend may say that a file does not exist, and mean a mailbox. Its LIST shows what is true.
func TestAnErrorThatIsNoAnswerMakesUsLook(t *testing.T) {
	const internal = "NO [SERVERBUG] Internal server error"
	f := &failing{backend: names('/', "a/b", "real", "real/x"), err: errBackend}
	c := connect(t, f.session, nil)
	assert.Equal(t, "OK STATUS completed", imaptest.Last(c.Cmd("a STATUS a (MESSAGES)")))
	assert.Equal(t, "OK [READ-WRITE] SELECT completed", imaptest.Last(c.Cmd("a SELECT a")))
	assert.Equal(t, internal, imaptest.Last(c.Cmd("a STATUS real (MESSAGES)")))
	assert.Equal(t, internal, imaptest.Last(c.Cmd("a SELECT a/b")))
	f.fail = errBackend
	assert.Equal(t, internal, imaptest.Last(c.Cmd("a SELECT a")))
}

func TestNoSelectLeavesSelectAndStatusToTheBackend(t *testing.T) {
	b := names('/', "a/b")
	c := connect(t, b.session, &vfolders.Options{Mode: vfolders.NoSelect})
	for _, command := range []string{"SELECT a", "EXAMINE a", "STATUS a (MESSAGES)"} {
		assert.Equal(t, "NO [NONEXISTENT] No such mailbox", imaptest.Last(c.Cmd("a "+command)))
	}
	assert.Equal(t, []string{"SELECT a", "SELECT a", "STATUS a"}, b.took())
}

func TestWhileAVirtualFolderIsSelectedTheBackendIsToldNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mover{names('/', "a/b")}
		c := imaptest.Serve(t, vfolders.Wrap(m.session, nil)).Login("bob", "pass")
		answer(t, c, "SELECT a")
		m.took()
		for command, want := range map[string][]string{
			"NOOP": {}, "CHECK": {}, "FETCH 1:* (FLAGS BODY[])": {}, "UID FETCH 1 FLAGS": {},
			"FETCH $ FLAGS":             {},
			`STORE 1 +FLAGS (\Deleted)`: {}, `UID STORE 1:* FLAGS \Seen`: {}, "EXPUNGE": {},
			"UID EXPUNGE 1:*": {},
			"COPY 1:* a/b":    {}, "UID COPY 1 a/b": {}, "COPY 1 nowhere": {}, "MOVE 1 a/b": {},
			"UID MOVE 1:* a": {},
			"SEARCH ALL":     {"SEARCH"}, "UID SEARCH UNSEEN": {"SEARCH"},
			"SEARCH RETURN (MIN MAX COUNT ALL) ALL": {`ESEARCH (TAG "a") COUNT 0`},
			"UID SEARCH RETURN (SAVE ALL) ALL":      {`ESEARCH (TAG "a") UID`},
		} {
			assert.Equal(t, want, answer(t, c, command), command)
		}
		c.Send("i IDLE")
		assert.Equal(t, "+ idling", c.Line())
		time.Sleep(25 * time.Minute)
		c.Send("DONE")
		assert.Equal(t, "i OK IDLE completed", c.Line(), "nothing was written meanwhile")
		answer(t, c, "UNSELECT")
		assert.Empty(t, m.took())

		answer(t, c, "SELECT a")
		answer(t, c, "CLOSE")
		answer(t, c, "SELECT a")
		m.took()
		answer(t, c, "SELECT a/b")
		answer(t, c, "SELECT a")
		assert.Equal(t, []string{"SELECT a/b", "UNSELECT", "SELECT a", "LIST  a* aa*"}, m.took())
		assert.Contains(t, imaptest.Last(c.Cmd("a SELECT b")), "NO ")
		assert.Equal(
			t, []string{"SELECT b", "LIST  b* bb*"}, m.took(),
			"the virtual folder is closed without the backend",
		)
		assert.Contains(t, imaptest.Last(c.Cmd("a UNSELECT")), "BAD ")

		answer(t, c, "SELECT a")
		c.Send("i IDLE")
		assert.Equal(t, "+ idling", c.Line())
		c.Close() // in the middle of it
	})
}

func TestWhileARealMailboxIsSelectedTheBackendIsToldAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mover{names('/', "a/b", "c")}
		c := imaptest.Serve(t, vfolders.Wrap(m.session, nil)).Login("bob", "pass")
		answer(t, c, "SELECT a/b")
		m.took()
		for _, command := range []string{
			"NOOP", "FETCH 1 FLAGS", `STORE 1 FLAGS \Seen`, "EXPUNGE", "SEARCH ALL", "COPY 1 c", "MOVE 1 c",
			"CLOSE",
		} {
			answer(t, c, command)
		}
		assert.Equal(t, []string{
			"POLL", "FETCH", "POLL", "STORE", "POLL", "EXPUNGE", "POLL", "SEARCH", "POLL", "COPY c", "POLL",
			"MOVE c", "POLL", "EXPUNGE", "UNSELECT",
		}, m.took())
		c.Send("i IDLE")
		c.Line()
		synctest.Wait()
		c.Send("DONE")
		c.Line()
		assert.Equal(t, []string{"IDLE"}, m.took())
	})
}

func TestUnauthenticateClosesAVirtualFolder(t *testing.T) {
	m := mover{names('/', "a/b")}
	server := imaptest.NewServer(t, &imapserver.Options{
		NewSession: vfolders.Wrap(
			m.session, nil,
		), InsecureAuth: true, Caps: imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUnauthenticate: {}},
	})
	c := server.Login("bob", "pass")
	answer(t, c, "SELECT a")
	m.fail = errBackend
	assert.Contains(t, imaptest.Last(c.Cmd("a UNAUTHENTICATE")), "NO ")
	m.fail = nil
	m.took()
	answer(t, c, "NOOP")
	answer(t, c, "FETCH 1 FLAGS")
	assert.Empty(t, m.took(), "it is still selected")

	answer(t, c, "UNAUTHENTICATE")
	answer(t, c, "LOGIN karen pass")
	answer(t, c, "SELECT a/b")
	answer(t, c, "FETCH 1 FLAGS")
	answer(t, c, "UNSELECT")
	assert.Equal(t, []string{"UNAUTHENTICATE", "SELECT a/b", "FETCH", "POLL", "UNSELECT"}, m.took())

	answer(t, c, "SELECT a/b")
	answer(t, c, "UNAUTHENTICATE")
	answer(t, c, "LOGIN bob pass")
	answer(t, c, "SELECT a")
	m.took()
	answer(t, c, "UNSELECT")
	assert.Empty(t, m.took(), "the backend has nothing open")
}

// Whoever is around it, and gives the answer to others too, relies on the kind.
func TestSearchOfAVirtualFolderHasTheKindThatWasAskedFor(t *testing.T) {
	var all imap.NumSet
	b := names('/', "a/b")
	c := connect(t, func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		session, greeting, err := vfolders.Wrap(b.session, nil)(conn)
		return watched{session, &all}, greeting, err
	}, nil)
	c.Cmd("s SELECT a")
	c.Cmd("a UID SEARCH ALL")
	assert.Equal(t, imap.UIDSet{}, all)
	c.Cmd("a SEARCH ALL")
	assert.Equal(t, imap.SeqSet{}, all)
}

// watched keeps the set that its Search has found.
type watched struct {
	imapserver.Session
	all *imap.NumSet
}

func (w watched) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	data, err := w.Session.Search(kind, criteria, options)
	*w.all = data.All
	return data, err
}

func TestNobodyLooksForAMailboxWithoutAName(t *testing.T) {
	b := names('/', "a/b")
	c := connect(t, b.session, nil)
	b.took()
	assert.Contains(t, imaptest.Last(c.Cmd(`a SELECT ""`)), "NO [NONEXISTENT]")
	assert.NotContains(t, strings.Join(b.took(), "\n"), "LIST")
}

func TestAMailboxThatBecomesRealWins(t *testing.T) {
	b := names('/', "a/b")
	c := connect(t, b.session, nil)
	answer(t, c, "SELECT a")
	b.add('/', "a")
	assert.Contains(t, answer(t, c, "STATUS a (UIDVALIDITY)"), `STATUS "a" (UIDVALIDITY 9)`)
	assert.Equal(t, []string{`LIST () "/" "a"`}, answer(t, c, `LIST "" %`))
	assert.Empty(t, answer(t, c, "FETCH 1 FLAGS"), "what is selected is still the folder that it was")
	assert.Contains(t, answer(t, c, "SELECT a"), "OK [UIDVALIDITY 9] UIDs valid")
	answer(t, c, "DELETE a")
	assert.Contains(t, answer(t, c, "SELECT a"), "OK [UIDVALIDITY 2147483646] UIDs valid")
	answer(t, c, "DELETE a/b")
	assert.Contains(t, imaptest.Last(c.Cmd("a SELECT a")), "NO [NONEXISTENT]")
}
