package vfolders_test

import (
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

func refusal(code imap.ResponseCode) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: "text"}
}

const (
	cannot = "NO [CANNOT] This folder only holds other folders"
	exists = "NO [ALREADYEXISTS] This folder exists already, to hold other folders"
)

func TestWhatCannotBeDoneWithAVirtualFolder(t *testing.T) {
	for _, mode := range []vfolders.Mode{vfolders.Selectable, vfolders.NoSelect} {
		m := mover{names('/', "#users/Karen/Inbox", "mine", "weird,/x")}
		c := imaptest.Serve(t, vfolders.Wrap(m.session, &vfolders.Options{Mode: mode})).
			Login("bob", "pass")
		answer(t, c, "SELECT mine")
		for _, code := range []imap.ResponseCode{"", imap.ResponseCodeCannot, imap.ResponseCodeNoPerm} {
			m.refusal = refusal(code)
			for command, want := range map[string]string{
				"APPEND #users {3+}\r\nabc": cannot, "APPEND #users/Karen (\\Seen) {3+}\r\nabc": cannot,
				"COPY 1 #users": cannot, "UID COPY 1:* #users/Karen": cannot, "MOVE 1 #users": cannot,
				"UID MOVE 1 #users": cannot,
				"CREATE #users":     exists, "CREATE #users/Karen": exists, "CREATE #users/": exists,
				"CREATE #users/Karen/": exists, "CREATE weird,": exists,
				"DELETE #users": cannot, "RENAME #users/Karen mine/karen": cannot, "RENAME mine #users": exists,
				"RENAME mine #users/":        exists,
				"RENAME #users/Karen #users": cannot, "SUBSCRIBE #users": cannot,
				"UNSUBSCRIBE #users/Karen": cannot,
			} {
				m.took()
				assert.Equal(t, want, imaptest.Last(c.Cmd("a "+command)), command)
				assert.NotContains(t, m.took()[0], "LIST", "the backend is asked first")
			}
		}
	}
}

// A backend that has said something else than that there is no such mailbox knows better.
func TestOtherRefusalsOfTheBackendAreKept(t *testing.T) {
	b := names('/', "#users/Karen/Inbox", "mine")
	c := connect(t, b.session, nil)
	for _, command := range []string{
		"CREATE #users", "DELETE #users", "RENAME #users x", "RENAME mine #users",
	} {
		b.refusal = refusal(imap.ResponseCodeAlreadyExists)
		assert.Equal(t, "NO [ALREADYEXISTS] text", imaptest.Last(c.Cmd("a "+command)), command)
		b.refusal = errBackend
		assert.Contains(t, imaptest.Last(c.Cmd("a "+command)), "NO [SERVERBUG]", command)
	}
	b.refusal = refusal(imap.ResponseCodeNonExistent)
	assert.Equal(
		t, "NO [NONEXISTENT] text", imaptest.Last(c.Cmd("a RENAME nowhere #users")),
		"it is about nowhere",
	)
	b.refusal = refusal("")
	assert.Equal(t, "NO text", imaptest.Last(c.Cmd("a CREATE #users,")))
	assert.Equal(t, "NO text", imaptest.Last(c.Cmd("a CREATE #usersx")))
	assert.Equal(t, "NO text", imaptest.Last(c.Cmd(`a CREATE ""`)))
}

func TestWhatTheBackendDecides(t *testing.T) {
	m := mover{names('/', "#users/Karen/Inbox", "mine")}
	c := imaptest.Serve(t, vfolders.Wrap(m.session, nil)).Login("bob", "pass")
	answer(t, c, "SELECT mine")
	m.took()
	for command, want := range map[string]string{
		"APPEND nowhere {3+}\r\nabc": "NO [TRYCREATE] No such mailbox",
		"COPY 1 #users/Bob":          "NO [TRYCREATE] No such mailbox",
		"MOVE 1 #user":               "NO [TRYCREATE] No such mailbox",
		"DELETE nowhere":             "NO [NONEXISTENT] No such mailbox",
		"RENAME nowhere #users/new":  "NO [NONEXISTENT] No such mailbox",
		"SUBSCRIBE nowhere":          "NO [NONEXISTENT] No such mailbox",
		"UNSUBSCRIBE nowhere":        "NO [NONEXISTENT] No such mailbox",
		`CREATE ""`:                  "OK CREATE completed",
		"APPEND mine {3+}\r\nabc":    "OK APPEND completed", "COPY 1 mine": "OK COPY completed",
		"CREATE #users/Karen/new": "OK CREATE completed",
		"CREATE #users,":          "OK CREATE completed", "SUBSCRIBE mine": "OK SUBSCRIBE completed",
		"UNSUBSCRIBE mine": "OK UNSUBSCRIBE completed",
	} {
		assert.Equal(t, want, imaptest.Last(c.Cmd("a "+command)), command)
	}
	assert.Contains(t, m.took(), "CREATE #users/Karen/new")
}

// A parent that LIST calls \NonExistent is there to be created.
func TestAVirtualFolderThatIsCreatedIsReal(t *testing.T) {
	b := names('/', "a/b").add('/', "a", imap.MailboxAttrNonExistent)
	c := connect(t, b.session, nil)
	b.took()
	answer(t, c, "CREATE a")
	assert.Equal(t, []string{"CREATE a"}, b.took())
	assert.Contains(t, answer(t, c, "STATUS a (UIDVALIDITY)"), `STATUS "a" (UIDVALIDITY 9)`)
}

func TestAVirtualFolderIsRenamedWithWhatIsBelow(t *testing.T) {
	b := names('/', "a/b", "a/c/d", "x")
	c := connect(t, b.session, nil)
	b.took()
	answer(t, c, "RENAME a new")
	assert.Equal(t, []string{"RENAME a new"}, b.took())
	assert.Equal(t, []string{
		`LIST (\HasChildren) "/" "new"`, `LIST () "/" "new/b"`, `LIST (\HasChildren) "/" "new/c"`,
		`LIST () "/" "new/c/d"`, `LIST () "/" "x"`,
	}, answer(t, c, `LIST "" *`))
	answer(t, c, "RENAME x new")
	assert.Contains(t, answer(t, c, "STATUS new (UIDVALIDITY)"), `STATUS "new" (UIDVALIDITY 9)`)
}
