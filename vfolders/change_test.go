package vfolders_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

func TestWhatCannotBeDoneWithAVirtualFolder(t *testing.T) {
	const cannot, exists = "NO [CANNOT] This folder only holds other folders", "NO [ALREADYEXISTS] This folder exists already, to hold other folders"
	for _, mode := range []vfolders.Mode{vfolders.Selectable, vfolders.NoSelect} {
		m := mover{names('/', "#users/Karen/Inbox", "mine", "weird,/x")}
		c := imaptest.Serve(t, vfolders.Wrap(m.session, &vfolders.Options{Mode: mode})).
			Login("bob", "pass")
		answer(t, c, "SELECT mine")
		m.took()
		for command, want := range map[string]string{
			"APPEND #users {3+}\r\nabc": cannot, "APPEND #users/Karen (\\Seen) {3+}\r\nabc": cannot,
			"COPY 1 #users": cannot, "UID COPY 1:* #users/Karen": cannot, "MOVE 1 #users": cannot, "UID MOVE 1 #users": cannot,
			"CREATE #users": exists, "CREATE #users/Karen": exists, "CREATE #users/": exists, "CREATE #users/Karen/": exists, "CREATE weird,": exists,
			"DELETE #users": cannot, "RENAME #users/Karen mine/karen": cannot, "RENAME mine #users": exists, "RENAME mine #users/": exists,
			"SUBSCRIBE #users": "OK SUBSCRIBE completed", "UNSUBSCRIBE #users/Karen": "OK UNSUBSCRIBE completed",
		} {
			assert.Equal(t, want, imaptest.Last(c.Cmd("a "+command)), command)
		}
		for _, call := range m.took() {
			assert.NotContains(t, call, "CREATE")
			assert.NotContains(t, call, "DELETE")
			assert.NotContains(t, call, "RENAME")
		}
	}
}

func TestWhatTheBackendDecides(t *testing.T) {
	m := mover{names('/', "#users/Karen/Inbox", "mine")}
	c := imaptest.Serve(t, vfolders.Wrap(m.session, nil)).Login("bob", "pass")
	answer(t, c, "SELECT mine")
	m.took()
	for command, want := range map[string]string{
		"APPEND nowhere {3+}\r\nabc": "NO [TRYCREATE] No such mailbox", "COPY 1 #users/Bob": "NO [TRYCREATE] No such mailbox",
		"MOVE 1 #user": "NO [TRYCREATE] No such mailbox", "DELETE nowhere": "NO [NONEXISTENT] No such mailbox",
		"RENAME nowhere #users/new": "NO [NONEXISTENT] No such mailbox", "SUBSCRIBE nowhere": "NO [NONEXISTENT] No such mailbox",
		"UNSUBSCRIBE nowhere": "NO [NONEXISTENT] No such mailbox", `CREATE ""`: "OK CREATE completed",
		"APPEND mine {3+}\r\nabc": "OK APPEND completed", "COPY 1 mine": "OK COPY completed", "CREATE #users/Karen/new": "OK CREATE completed",
		"CREATE #users,": "OK CREATE completed", "SUBSCRIBE mine": "OK SUBSCRIBE completed", "UNSUBSCRIBE mine": "OK UNSUBSCRIBE completed",
	} {
		assert.Equal(t, want, imaptest.Last(c.Cmd("a "+command)), command)
	}
	assert.Contains(t, m.took(), "CREATE #users/Karen/new")
}

func TestSubscriptionOfTheChildren(t *testing.T) {
	c := connect(t, names('/', "#users/Karen/Inbox").session, nil)
	assert.Empty(t, answer(t, c, `LSUB "" *`))
	answer(t, c, "SUBSCRIBE #users")
	assert.Empty(t, answer(t, c, `LSUB "" %`), "this backend has no subscription without a mailbox")
	answer(t, c, "SUBSCRIBE #users/Karen/Inbox")
	assert.Equal(
		t, []string{`LSUB (\HasChildren \Subscribed) "/" "#users"`}, answer(t, c, `LSUB "" %`),
	)
	answer(t, c, "UNSUBSCRIBE #users/Karen/Inbox")
	assert.Empty(t, answer(t, c, `LSUB "" %`))
}
