package copymeta

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/capture"
)

// A Copier is a session of a backend that can do by itself what the policies say. It is then asked
// to, and no message is fetched or appended. [Options.MaxMemory], [Options.MaxBytes] and those for
// all sessions have no meaning then. It cannot be stopped: when its client has hung up, what it
// copied is taken out afterwards.
type Copier interface {
	// CopyMeta copies messages of the selected mailbox to dest, all or none. The set is as for Copy
	// of [imapserver.Session]: sequence numbers or UIDs, possibly with "*" in it, or
	// [imap.SearchRes]; for a MOVE it is the UIDs of messages that were there a moment ago. At
	// least one policy is not [Keep]; the other may be. A message that does not exist is skipped,
	// as by Copy.
	//
	// It returns the UIDs of the sources and of the copies, in the same order, or nil if it does
	// not know them. If nothing was copied it returns nil, or sets that are empty. An error is the
	// client's answer, TRYCREATE among them if there is no dest.
	CopyMeta(numSet imap.NumSet, dest string, date, flags Policy) (*imap.CopyData, error)
}

// An Undoer is a session of a backend that can take messages out of a mailbox that is not selected.
type Undoer interface {
	// Undo removes from the mailbox the messages with these UIDs, all of which the session's own
	// APPENDs, or its CopyMeta, have just reported, with this UIDVALIDITY. It need not tell a
	// client that has not heard of them. If it returns an error, it counts as if nothing had been
	// removed. It is called after an APPEND that failed, never after one that panicked; when the
	// client has hung up; and for the copy of a message that somebody else expunged during a MOVE.
	Undo(mailbox string, uidValidity uint32, uids imap.UIDSet) error
}

// undo takes the copies out, and tells whether they are gone. Without data nobody knows their UIDs.
func (s *session) undo(dest string, data *imap.CopyData) bool {
	undoer, ok := s.Session.(Undoer)
	if !ok || data == nil {
		return false
	}
	if err := undoer.Undo(dest, data.UIDValidity, data.DestUIDs); err != nil {
		s.options.logf("copymeta: undo of a copy: %q", err.Error())
		return false
	}
	return true
}

// takeOut takes the copies out for a client that is gone. It may select the destination to do so,
// and so the connection must end afterwards.
func (s *session) takeOut(dest string, c *copied) {
	data := c.data()
	if data == nil && c.done == 0 || s.undo(dest, data) {
		return
	}
	err := errors.New("the backend does not tell their UIDs")
	if data != nil {
		err = s.expungeFrom(dest, data)
	}
	if err != nil {
		s.options.logf("copymeta: take out the copies of a client that is gone: %q", err.Error())
	}
}

// expungeFrom selects the mailbox and expunges the copies from it.
func (s *session) expungeFrom(dest string, data *imap.CopyData) error {
	if err := s.Session.Unselect(); err != nil {
		return err
	}
	selected, err := s.Session.Select(dest, &imap.SelectOptions{})
	switch {
	case err != nil:
		return err
	case selected.UIDValidity != data.UIDValidity:
		return fmt.Errorf("its UIDVALIDITY is %d now", selected.UIDValidity)
	}
	var uids imap.UIDSet
	uids.AddSet(data.DestUIDs) // sorted, which DestUIDs need not be
	if err := s.setDeleted(uids, imap.StoreFlagsAdd); err != nil {
		return err
	}
	_, err = s.expunge(uids)
	return err
}

// expunge removes those of the messages that have \Deleted, and returns the sequence numbers that
// the backend tells. The client is told later: it may be slow to read, and others wait.
func (s *session) expunge(all imap.UIDSet) (seqNums []uint32, err error) {
	for uids := range slices.Chunk(all, maxRanges) {
		err = capture.Expunge(
			func(w *imapserver.ExpungeWriter) error { return s.Session.Expunge(w, &uids) },
			func(seqNum uint32) error {
				seqNums = append(seqNums, seqNum)
				return nil
			},
		)
		if err != nil {
			return seqNums, err
		}
	}
	return seqNums, nil
}

func (s *session) setDeleted(all imap.UIDSet, op imap.StoreFlagsOp) error {
	for uids := range slices.Chunk(all, maxRanges) {
		flags := &imap.StoreFlags{Op: op, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
		err := capture.Fetch(func(w *imapserver.FetchWriter) error {
			return s.Session.Store(w, uids, flags, &imap.StoreOptions{})
		}, noSection, func(m *capture.Message) error {
			if m.UID == 0 || !all.Contains(m.UID) {
				s.note(m)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lookAgain finds those of the messages that are still there.
func (s *session) lookAgain(ctx context.Context, messages []message) (there []message, err error) {
	for uids := range slices.Chunk(uidsOf(messages), maxRanges) {
		some, err := s.look(ctx, uids, true)
		if err != nil {
			return nil, err
		}
		there = append(there, some...)
	}
	return there, nil
}

// present is lookAgain, whatever has become of the client.
func (s *session) present(messages []message) ([]message, error) {
	return s.lookAgain(context.Background(), messages)
}
