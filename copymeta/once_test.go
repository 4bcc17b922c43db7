package copymeta_test

import (
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// A backend that stores equal messages once says OK to an APPEND that it drops. A COPY that makes
// no copy is no success, and a MOVE would lose the message.
func TestABackendThatStoresEqualMessagesOnce(t *testing.T) {
	const again = "NO [SERVERBUG] The server does not store a message a second time, " +
		"nothing was copied"
	for name, test := range map[string]struct {
		command string
		there   []string // in Archive
		noUIDs  bool
		want    string
	}{
		"in another mailbox":  {"COPY 1 Archive", nil, false, again},
		"moved":               {"MOVE 1 Archive", nil, false, again},
		"moved, without UIDs": {"MOVE 1:2 Archive", nil, true, again},
		"in the same mailbox": {
			"MOVE 1 INBOX", nil, false,
			"NO [SERVERBUG] Message with UID 1 was not stored a second time, nothing was copied",
		},
		"in the destination": {
			"MOVE 1:2 Archive", []string{"one"}, false,
			"NO [SERVERBUG] Message with UID 1 was not stored a second time, nothing was copied",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(stored{content: "one"}, stored{content: "two"})
			b.once, b.noUIDs = true, test.noUIDs
			for _, content := range test.there {
				b.mailboxes["Archive"].add(stored{content: content})
			}
			c := open(t, &withUndo{backend: b}, resetMove)
			assert.Equal(t, test.want, imaptest.Last(c.Cmd("a "+test.command)))
			assert.Equal(t, []string{"one", "two"}, contents(b.mailboxes["INBOX"]))
			assert.Equal(t, test.there, contents(b.mailboxes["Archive"]), "and what is there stays")
		})
	}
}

// One of several is stored, and nobody knows which one.
func TestAMoveOfWhatIsStoredInPartExpungesNothing(t *testing.T) {
	for _, move := range []string{"MOVE", "COPY"} {
		b := newBackend(stored{content: "one"}, stored{content: "two"})
		drops := &dropping{backend: b}
		c := open(t, drops, resetMove)
		want := "1 of 2 messages were copied"
		if move == "MOVE" {
			want = "1 messages were copied, but none was moved"
		}
		assert.Equal(
			t, "NO [SERVERBUG] "+want+": The server does not store a message a second time",
			imaptest.Last(c.Cmd("a "+move+" 1:2 Archive")),
		)
		assert.Equal(t, []string{"one", "two"}, contents(b.mailboxes["INBOX"]))
		assert.Equal(t, []string{"two"}, contents(b.mailboxes["Archive"]))
	}
}

// dropping is a backend that drops its first APPEND, and reports no UID of any.
type dropping struct {
	*backend
	appended int
}

func (d *dropping) Append(
	name string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	if d.appended++; d.appended > 1 {
		if _, err := d.backend.Append(name, r, options); err != nil {
			return nil, err
		}
	}
	return &imap.AppendData{UIDValidity: d.mailboxes[name].validity}, nil
}

// Of two equal messages in one command the second one is the first one's copy.
func TestEqualMessagesOfOneCommand(t *testing.T) {
	b := newBackend(stored{content: "same"}, stored{content: "same"})
	same := &sameAgain{backend: b}
	c := open(t, same, resetMove)
	assert.Equal(
		t, "NO [SERVERBUG] 1 of 2 messages were moved: Message with UID 2 was not stored a second time",
		imaptest.Last(c.Cmd("a MOVE 1:2 Archive")),
	)
	assert.Len(t, b.mailboxes["INBOX"].messages, 1)
	assert.Len(t, b.mailboxes["Archive"].messages, 1)
}

// sameAgain is a backend that answers each APPEND as the first one.
type sameAgain struct {
	*backend
	data *imap.AppendData
}

func (s *sameAgain) Append(
	name string, r imap.LiteralReader, options *imap.AppendOptions,
) (data *imap.AppendData, err error) {
	if s.data == nil {
		s.data, err = s.backend.Append(name, r, options)
	}
	return s.data, err
}
