package copymeta_test

import (
	"fmt"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// careless is a backend that changes what it was given.
type careless struct{ *backend }

func (c careless) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	given := *options
	err := c.backend.Fetch(w, numSet, &given)
	clear(options.BodySection)
	*options = imap.FetchOptions{}
	switch set := numSet.(type) {
	case imap.SeqSet:
		clear(set)
	case imap.UIDSet:
		clear(set)
	}
	return err
}

func (c careless) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	given := *flags
	err := c.backend.Store(w, numSet, &given, options)
	clear(flags.Flags)
	*flags = imap.StoreFlags{}
	return err
}

// A set of so many ranges is given to the backend in parts.
func TestABackendThatChangesWhatItWasGiven(t *testing.T) {
	const messages = 1200
	b := newBackend()
	inbox := b.mailboxes["INBOX"]
	for i := range messages {
		inbox.next++
		inbox.add(stored{content: fmt.Sprint(i), date: past})
	}
	c := open(t, careless{b}, &copymeta.Options{
		InternalDate: copymeta.Preserve, Flags: copymeta.Preserve, Move: true,
	})
	assert.Equal(t, "OK MOVE completed", imaptest.Last(c.Cmd("a MOVE 1:* Archive")))
	assert.Empty(t, inbox.messages)
	assert.Len(t, b.mailboxes["Archive"].messages, messages)
}

// The backend's own COPY, which says whether there is such a mailbox, gets the client's set.
func TestABackendThatChangesASetOfNothing(t *testing.T) {
	b := newBackend(stored{content: "one"})
	b.status = noSuchMailbox
	c := open(t, careless{b}, reset)
	assert.True(t, imaptest.IsOK(c.Cmd("a COPY 7 Archive")))
	assert.Equal(t, []string{"FETCH 7", "COPY 7"}, b.calls)
	assert.True(t, imaptest.IsOK(c.Cmd("a UID COPY 7:8 Archive")))
	assert.Equal(t, []string{"FETCH 7:8", "COPY 7:8"}, b.calls[2:])
}
