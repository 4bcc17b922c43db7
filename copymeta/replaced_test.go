package copymeta_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
)

const noneMoved = "messages were copied, but none was moved"

// Another client may delete the destination during a MOVE, and may make it anew. What was copied
// until then is gone with it, and the sources are all that is left.
func TestAMoveToAMailboxThatIsDeletedHalfway(t *testing.T) {
	remove := func(b *backend) { delete(b.mailboxes, "Archive") }
	replace := func(b *backend) { b.mailboxes["Archive"] = &mailbox{validity: 8} }
	for name, test := range map[string]struct {
		meanwhile func(b *backend)
		noUIDs    bool
		want      string
	}{
		"deleted": {
			remove, false, "NO [SERVERBUG] 1 " + noneMoved + ": Backend has no such mailbox",
		},
		"deleted, without UIDs": {
			remove, true, "NO [SERVERBUG] 1 " + noneMoved + ": Backend has no such mailbox",
		},
		"made anew": {
			replace, false, "NO [INUSE] 1 " + noneMoved + ": the destination was deleted meanwhile",
		},
		"made anew, without UIDs": {
			replace, true, "NO [INUSE] 2 " + noneMoved + ": the destination was deleted meanwhile",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(stored{content: "one"}, stored{content: "two"})
			b.noUIDs = test.noUIDs
			appends := 0
			b.onAppend = func() {
				if appends++; appends == 2 {
					test.meanwhile(b)
				}
			}
			c := open(t, b, resetMove)
			assert.Equal(t, test.want, imaptest.Last(c.Cmd("a MOVE 1:2 Archive")))
			assert.Equal(t, []string{"one", "two"}, contents(b.mailboxes["INBOX"]))
		})
	}
}

// A COPY stops there, and is no success.
func TestACopyToAMailboxThatIsMadeAnewHalfway(t *testing.T) {
	b := newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"})
	appends := 0
	b.onAppend = func() {
		if appends++; appends == 2 {
			b.mailboxes["Archive"] = &mailbox{validity: 8}
		}
	}
	c := open(t, b, reset)
	assert.Equal(
		t, "NO [INUSE] 1 of 3 messages were copied: the destination was deleted meanwhile",
		imaptest.Last(c.Cmd("a COPY 1:3 Archive")),
	)
	assert.Equal(t, []string{"two"}, contents(b.mailboxes["Archive"]))
}

// The backend drops the first message, because it has an equal one, and has no room for the third.
func TestAMoveThatFailsWithABackendThatStoresEqualMessagesOnce(t *testing.T) {
	b := newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"})
	b.appends, b.appendError = 1, errQuota
	c := open(t, &dropping{backend: b}, resetMove)
	assert.Equal(
		t, "NO [OVERQUOTA] 1 "+noneMoved+": Backend is full",
		imaptest.Last(c.Cmd("a MOVE 1:3 Archive")),
	)
	assert.Equal(t, []string{"one", "two", "three"}, contents(b.mailboxes["INBOX"]))
}

// A mailbox that is made anew meanwhile has a UIDNEXT that says nothing.
func TestAMoveWithoutUIDsToAMailboxMadeAnew(t *testing.T) {
	b := newBackend(stored{content: "one"})
	b.noUIDs = true
	b.onAppend = func() {
		archive := b.mailboxes["Archive"]
		archive.validity, archive.next = archive.validity+1, 0
	}
	c := open(t, b, resetMove)
	assert.Equal(
		t, "NO [INUSE] 1 "+noneMoved+": the destination was deleted meanwhile",
		imaptest.Last(c.Cmd("a MOVE 1 Archive")),
	)
	assert.Equal(t, []string{"one"}, contents(b.mailboxes["INBOX"]))
}
