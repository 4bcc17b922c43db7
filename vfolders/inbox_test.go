package vfolders_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

// INBOX is the only name whose case does not matter, and so its children may spell it in any.
func TestAMissingINBOXIsFoundByChildrenInAnyCase(t *testing.T) {
	for _, options := range []*vfolders.Options{nil, {Prefixes: []string{"INBOX/"}}} {
		c := connect(t, names('/', "Sent", "inbox/sub").session, options)
		inbox := []string{`LIST (\HasChildren) "/" INBOX`}
		for _, list := range []string{`LIST "" INBOX`, `LIST "" INB%`, `LIST "" "I*"`, `LIST "" (INBOX INB%)`} {
			assert.Equal(t, inbox, answer(t, c, list), list)
		}
		assert.Equal(t, "STATUS INBOX (MESSAGES 0)", answer(t, c, "STATUS inbox (MESSAGES)")[0])
		answer(t, c, "SELECT Inbox")
		assert.Equal(
			t, "NO [CANNOT] This folder only holds other folders", imaptest.Last(c.Cmd("b DELETE INBOX")),
		)
	}
}
