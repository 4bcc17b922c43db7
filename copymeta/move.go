package copymeta

import (
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/capture"
)

// Move implements [imapserver.SessionMove], which the session has if the backend's has it.
func (s *session) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	p, err := s.policies(dest)
	if err != nil {
		return err
	}
	if !s.options.Move || p.keep() {
		return s.Session.(imapserver.SessionMove).Move(w, numSet, dest)
	}
	if s.readOnly {
		return errReadOnly
	}
	if err := s.setDeleted(noMessage(), imap.StoreFlagsAdd); err != nil {
		return err
	}
	c, copyErr := s.copyForMove(numSet, dest, p)
	if c.done == 0 {
		return copyErr
	}
	all := len(c.messages)
	c.messages = c.messages[:c.done]
	if err := s.remove(w, c, dest); err != nil {
		return err
	}
	if copyErr != nil {
		return s.partly(copyErr, "%d of %d messages were moved", c.done, all)
	}
	return nil
}

func (s *session) copyForMove(numSet imap.NumSet, dest string, p policies) (copied, error) {
	copier, ok := s.Session.(Copier)
	if !ok {
		return s.copy(numSet, dest, p)
	}
	// What is removed afterwards must be what was copied: a set like "1:*" may mean more by then.
	messages, err := s.look(numSet)
	if err != nil || len(messages) == 0 {
		return copied{}, err
	}
	data, err := copier.CopyMeta(uidsOf(messages), dest, p.date, p.flags)
	if err != nil {
		return copied{}, err
	}
	if data != nil {
		var copied imap.UIDSet // sorted, which that of a Copier need not be
		copied.AddSet(data.SourceUIDs)
		messages = slices.DeleteFunc(messages, func(m message) bool { return !copied.Contains(m.uid) })
	}
	return copied{messages: messages, done: len(messages), data: withoutEmpty(data)}, nil
}

// remove takes the messages, all of which are copied, out of the selected mailbox.
func (s *session) remove(w *imapserver.MoveWriter, c copied, dest string) error {
	if err := s.setDeleted(uidsOf(c.messages), imap.StoreFlagsAdd); err != nil {
		// A source that had \Deleted for a moment may be gone by now, and then the copy is all
		// there is.
		if s.restore(c.messages) && s.left(c.messages) == c.done && s.undo(dest, c.data) {
			return err
		}
		return s.partly(err, "%d messages were copied, but none was moved", c.done)
	}
	// Whether the client is still there to read it changes nothing for the messages.
	var writeErr error
	expunged := 0
	if c.data != nil {
		writeErr = w.WriteCopyData(c.data)
	}
	uids := uidsOf(c.messages)
	err := capture.Expunge(
		func(w *imapserver.ExpungeWriter) error { return s.Session.Expunge(w, &uids) },
		func(seqNum uint32) error {
			expunged++
			if writeErr == nil {
				writeErr = w.WriteExpunge(seqNum)
			}
			return nil
		},
	)
	if err != nil {
		// Nobody knows which of them are left, so the copies are not touched.
		s.restore(c.messages)
		return s.partly(err, "%d messages were copied, but perhaps not all were moved", c.done)
	}
	if expunged < c.done && s.left(c.messages) > 0 { // not all backends tell here what they expunged
		return s.partly(errStillThere, "%d messages were copied, but not all were moved", c.done)
	}
	return writeErr
}

// left returns how many of the messages are still there, and -1 if that is not known.
func (s *session) left(messages []message) int {
	there, err := s.look(uidsOf(messages))
	if err != nil {
		return -1
	}
	return len(there)
}

// restore takes \Deleted off the messages that did not have it, and tells whether that worked.
func (s *session) restore(messages []message) bool {
	uids := uidsOf(
		slices.DeleteFunc(slices.Clone(messages), func(m message) bool { return m.deleted }),
	)
	if len(uids) == 0 {
		return true
	}
	err := s.setDeleted(uids, imap.StoreFlagsDel)
	if err != nil {
		s.options.logf("copymeta: remove \\Deleted after a failed move: %q", err.Error())
	}
	return err == nil
}

func (s *session) setDeleted(uids imap.UIDSet, op imap.StoreFlagsOp) error {
	flags := &imap.StoreFlags{Op: op, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	return capture.Fetch(func(w *imapserver.FetchWriter) error {
		return s.Session.Store(w, uids, flags, &imap.StoreOptions{})
	}, noSection, func(*capture.Message) error { return nil })
}

func uidsOf(messages []message) imap.UIDSet {
	var uids imap.UIDSet
	for _, m := range messages {
		addUID(&uids, m.uid)
	}
	return uids
}
