package differential_test

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// memory is an imapmemserver without the mistakes that would hide those of a stack: it never sends
// a sequence number that the client cannot know.
type memory struct{ imapserver.SessionIMAP4rev2 }

func (w *world) memory(
	conn *imapserver.Conn,
) (imapserver.Session, *imapserver.GreetingData, error) {
	inner, greeting, err := imaptest.Memory(w.users...)(conn)
	if err != nil {
		return nil, nil, err
	}
	return &memory{inner.(imapserver.SessionIMAP4rev2)}, greeting, nil
}

// Move lets Poll report each message. imapmemserver also reports them itself, with other numbers.
func (m *memory) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	return move(m, w, numSet, dest)
}

// move copies the messages with the Copy of the session, and removes those that were copied.
func move(
	session imapserver.SessionIMAP4rev2, w *imapserver.MoveWriter, numSet imap.NumSet, dest string,
) error {
	data, err := session.Copy(numSet, dest)
	if err != nil || data == nil || len(data.SourceUIDs) == 0 {
		return err
	}
	if err := w.WriteCopyData(data); err != nil {
		return err
	}
	deleted := &imap.StoreFlags{
		Op:     imap.StoreFlagsAdd,
		Silent: true,
		Flags:  []imap.Flag{imap.FlagDeleted},
	}
	if err := session.Store(nil, data.SourceUIDs, deleted, &imap.StoreOptions{}); err != nil {
		return err
	}
	return session.Expunge(nil, &data.SourceUIDs)
}

// Fetch and Store omit the messages that the client does not know yet. imapmemserver gives them the
// number 0.

func (m *memory) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	return m.SessionIMAP4rev2.Fetch(w, m.known(numSet), options)
}

func (m *memory) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	return m.SessionIMAP4rev2.Store(w, m.known(numSet), flags, options)
}

func (m *memory) known(numSet imap.NumSet) imap.NumSet {
	uids, ok := numSet.(imap.UIDSet)
	if !ok {
		return numSet
	}
	criteria := &imap.SearchCriteria{UID: []imap.UIDSet{uids}}
	data, err := m.Search(imapserver.NumKindSeq, criteria, &imap.SearchOptions{})
	if err != nil {
		panic(err) // Search of imapmemserver never fails
	}
	return data.All
}
