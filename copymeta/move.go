package copymeta

import (
	"context"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// Move implements [imapserver.SessionMove], which the session has if the backend's has it.
func (s *session) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	ofBackend := s.Session.(imapserver.SessionMove).Move
	if !s.options.Move {
		return ofBackend(w, numSet, dest)
	}
	p, err := s.policies(dest)
	if err != nil {
		return err
	}
	if p.keep() {
		return ofBackend(w, numSet, dest)
	}
	if s.readOnly {
		return errReadOnly
	}
	ctx, end := s.begin()
	defer end()
	moved, err := s.move(ctx, numSet, dest, p)
	end()
	if isGone(ctx) {
		s.hangUp()
		return errGone
	}
	if writeErr := moved.write(w); err == nil {
		err = writeErr
	}
	s.tell()
	return err
}

// moved is what a client is told of a MOVE.
type moved struct {
	data     *imap.CopyData
	expunged []uint32
}

func (m *moved) write(w *imapserver.MoveWriter) error {
	if m.data != nil {
		if err := w.WriteCopyData(m.data); err != nil {
			return err
		}
	}
	for _, seqNum := range m.expunged {
		if err := w.WriteExpunge(seqNum); err != nil {
			return err
		}
	}
	return nil
}

// move does all but tell the client, who may be slow to read while others wait for the messages.
func (s *session) move(
	ctx context.Context, numSet imap.NumSet, dest string, p policies,
) (moved, error) {
	now := time.Now()
	d := s.lookAt(dest)
	messages, err := s.look(ctx, numSet, true)
	if err != nil {
		return moved{}, err
	}
	waited, leave, err := s.takeTurn(ctx, messages)
	if err != nil {
		return moved{}, err
	}
	defer leave()
	if waited { // until somebody else had moved them
		// Not the client's set from now on: a message that has come meanwhile may be in it.
		numSet = uidsOf(messages[:1])
		if messages, err = s.lookAgain(ctx, messages); err != nil {
			return moved{}, err
		}
	}
	if len(messages) == 0 {
		_, err := s.copyNothing(numSet, d)
		return moved{}, err
	}
	if err := s.checkDelete(messages); err != nil {
		return moved{}, err
	}
	c, copyErr := s.copyForMove(ctx, messages, d, p, now)
	switch {
	case c.done == 0:
		return moved{}, copyErr
	case c.unsure: // so none is expunged
		return moved{}, s.partly(copyErr, "%d messages were copied, but none was moved", c.done)
	}
	result, err := s.remove(&c, dest)
	if err == nil && copyErr != nil {
		err = s.partly(copyErr, "%d of %d messages were moved", c.done, c.all)
	}
	return result, err
}

// checkDelete fails if messages cannot be deleted. It changes none: it takes \Deleted off one that
// does not have it. Because the backend may notify others of that, it is only done if
// PERMANENTFLAGS do not say that messages can be deleted. If all messages have \Deleted, there is
// no need.
func (s *session) checkDelete(messages []message) error {
	i := slices.IndexFunc(messages, func(m message) bool { return !m.deleted })
	if s.deletes || i < 0 {
		return nil
	}
	return s.setDeleted(imap.UIDSetNum(messages[i].uid), imap.StoreFlagsDel)
}

func (s *session) copyForMove(
	ctx context.Context, messages []message, d destination, p policies, now time.Time,
) (copied, error) {
	copier, ok := s.Session.(Copier)
	if !ok {
		c, err := s.copyMessages(ctx, messages, d, p, now)
		return c, s.prove(&c, d, err)
	}
	data, err := copier.CopyMeta(uidsOf(messages), d.name, p.date, p.flags)
	if err != nil {
		return copied{}, err
	}
	if data != nil {
		var sources imap.UIDSet // sorted, which that of a Copier need not be
		sources.AddSet(data.SourceUIDs)
		messages = slices.DeleteFunc(messages, func(m message) bool { return !sources.Contains(m.uid) })
	}
	return copied{messages: messages, all: len(messages), done: len(messages), answer: data}, nil
}

// remove takes the messages that are copied out of the selected mailbox.
func (s *session) remove(c *copied, dest string) (moved, error) {
	there, err := s.present(c.messages[:c.done])
	if err != nil {
		return moved{}, s.giveUp(err, c, nil, dest)
	}
	s.undoOthers(c, there, dest)
	if err := s.setDeleted(uidsOf(there), imap.StoreFlagsAdd); err != nil {
		return moved{}, s.giveUp(err, c, there, dest)
	}
	expunged, err := s.expunge(uidsOf(there))
	s.news.expunge(expunged)
	result := moved{c.data(), expunged}
	if err != nil {
		// Nobody knows which of them are left, so the copies are not touched.
		s.restore(there)
		return result, s.partly(
			err, "%d messages were copied, but perhaps not all were moved", c.done,
		)
	}
	if !allExpunged(there, expunged) { // not all backends tell here what they expunged
		if left, err := s.present(there); err == nil && len(left) > 0 {
			return result, s.partly(
				errStillThere, "%d messages were copied, but not all were moved", c.done,
			)
		}
	}
	return result, nil
}

// undoOthers takes out the copies of messages that are no longer there: somebody else has expunged
// them, and may have moved them. If that is not possible, the copies stay.
func (s *session) undoOthers(c *copied, there []message, dest string) {
	gone := copied{uidValidity: c.uidValidity, known: c.known}
	isGone := func(m message) bool {
		_, ok := find(there, m.uid)
		return !ok
	}
	for _, m := range c.messages[:c.done] {
		if isGone(m) {
			gone.messages = append(gone.messages, m)
			gone.done++
		}
	}
	if c.answer != nil || gone.done == 0 || !s.undo(dest, gone.data()) {
		return
	}
	c.messages = slices.DeleteFunc(c.messages[:c.done], isGone) // and no more is copied
	c.done -= gone.done
	c.all -= gone.done
}

// giveUp returns the answer when messages were copied, but cannot be deleted. The list there is nil
// if nobody knows which of them are still there.
func (s *session) giveUp(err error, c *copied, there []message, dest string) error {
	// A source that had \Deleted for a moment may be gone by now, and then the copy is all there is.
	if s.restore(there) {
		left, leftErr := s.present(c.messages[:c.done])
		if leftErr == nil && len(left) == c.done && s.undo(dest, c.data()) {
			return err
		}
	}
	return s.partly(err, "%d messages were copied, but none was moved", c.done)
}

// restore takes \Deleted off the messages that did not have it, and tells whether that worked.
func (s *session) restore(messages []message) bool {
	uids := uidsOf(
		slices.DeleteFunc(slices.Clone(messages), func(m message) bool { return m.deleted }),
	)
	err := s.setDeleted(uids, imap.StoreFlagsDel)
	if err != nil {
		s.options.logf("copymeta: remove \\Deleted after a failed move: %q", err.Error())
	}
	return err == nil
}
