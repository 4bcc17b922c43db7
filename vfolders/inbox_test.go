package vfolders_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

// INBOX is the backend's, also when it is gone and has children. Where mail is delivered, and what
// becomes of it then, only the backend can say.
func TestINBOXIsNeverVirtual(t *testing.T) {
	for _, options := range []*vfolders.Options{
		nil, {Prefixes: []string{"INBOX/"}}, {Mode: vfolders.NoSelect},
	} {
		for _, child := range []string{"INBOX/a/b", "inbox/a/b"} {
			b := names('/', "Sent", child)
			c := connect(t, b.session, options)
			for _, list := range []string{`LIST "" INBOX`, `LIST "" INB%`, `LIST "" "%x"`} {
				assert.Empty(t, answer(t, c, list), list)
			}
			if child == "INBOX/a/b" {
				assert.Len(t, answer(t, c, `LIST "" *`), 3, "what is below it can have a virtual parent")
			}
			for command, want := range map[string]string{
				"SELECT Inbox":             "NO [NONEXISTENT] No such mailbox",
				"STATUS inbox (MESSAGES)":  "NO [NONEXISTENT] No such mailbox",
				"APPEND INBOX {3+}\r\nabc": "NO [TRYCREATE] No such mailbox",
				"DELETE INBOX":             "NO [NONEXISTENT] No such mailbox",
				"SUBSCRIBE INBOX":          "NO [NONEXISTENT] No such mailbox",
			} {
				b.took()
				assert.Equal(t, want, imaptest.Last(c.Cmd("b "+command)), command)
				assert.Len(t, b.took(), 1, "nobody looks for it")
			}
			answer(t, c, "CREATE inbox")
			assert.Equal(t, []string{"CREATE INBOX"}, b.took())
		}
	}
}

// After such a RENAME imapmemserver has no INBOX.
func TestINBOXAfterItIsRenamedBelowItself(t *testing.T) {
	c := imaptest.Serve(t, vfolders.Wrap(imaptest.Memory(imaptest.User("bob")), nil)).
		Login("bob", "pass")
	answer(t, c, "RENAME INBOX INBOX/old")
	assert.Equal(
		t, "NO [TRYCREATE] No such mailbox", imaptest.Last(c.Cmd("b APPEND INBOX {3+}\r\nabc")),
	)
	answer(t, c, "CREATE INBOX")
	answer(t, c, "APPEND INBOX {3+}\r\nabc")
	assert.Equal(
		t, []string{`LIST () "/" INBOX`, `LIST () "/" "INBOX/old"`}, answer(t, c, `LIST "" *`),
	)
}
