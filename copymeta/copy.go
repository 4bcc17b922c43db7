package copymeta

import (
	"context"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Copy implements [imapserver.Session].
func (s *session) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	p, err := s.policies(dest)
	if err != nil {
		return nil, err
	}
	if p.keep() {
		return s.Session.Copy(numSet, dest)
	}
	ctx, end := s.begin()
	defer end()
	c, err := s.copyAll(ctx, numSet, dest, p)
	end()
	if isGone(ctx) {
		s.takeOut(dest, &c)
		s.hangUp()
		return nil, errGone
	}
	s.tell()
	if err != nil && c.done > 0 {
		err = s.partly(err, "%d of %d messages were copied", c.done, c.all)
	}
	return c.data(), err
}

// copied is what a copy has come to.
type copied struct {
	messages    []message      // those that were read
	all         int            // how many there are in all
	done        int            // how many of messages have a copy now
	unsure      bool           // which ones
	noUID       bool           // APPEND reported a UIDVALIDITY without a UID
	replaced    bool           // the destination was deleted and made anew between two of them
	uidValidity uint32         // of the copies
	newest      imap.UID       // in the destination, as far as is known
	known       bool           // so are the UIDs of all copies
	answer      *imap.CopyData // a Copier's
}

// data returns the UIDs of the messages that have a copy, nil if there are none or they are not
// known.
func (c *copied) data() *imap.CopyData {
	if c.answer != nil || !c.known || c.done == 0 {
		return withoutEmpty(c.answer)
	}
	data := &imap.CopyData{UIDValidity: c.uidValidity}
	for _, m := range c.messages[:c.done] {
		addUID(&data.SourceUIDs, m.uid)
		addUID(&data.DestUIDs, m.copy)
	}
	return data
}

// withoutEmpty returns nil if a set is empty: the server would write a malformed COPYUID.
func withoutEmpty(data *imap.CopyData) *imap.CopyData {
	if data == nil || len(data.SourceUIDs) == 0 || len(data.DestUIDs) == 0 {
		return nil
	}
	return data
}

func (s *session) copyAll(
	ctx context.Context, numSet imap.NumSet, dest string, p policies,
) (copied, error) {
	if copier, ok := s.Session.(Copier); ok {
		data, err := copier.CopyMeta(numSet, dest, p.date, p.flags)
		return copied{answer: data}, err
	}
	now := time.Now()
	d := s.lookAt(dest)
	messages, err := s.look(ctx, numSet, false)
	if err != nil {
		return copied{}, err
	}
	if len(messages) == 0 {
		return s.copyNothing(numSet, d)
	}
	c, err := s.copyMessages(ctx, messages, d, p, now)
	if err == nil && c.noUID {
		err = c.checkStored(d, s.lookAt(d.name))
	}
	return c, err
}

// copyNothing returns what the backend says to a COPY that has nothing to copy. If there is no
// doubt about the destination, it need not be asked.
func (s *session) copyNothing(numSet imap.NumSet, d destination) (copied, error) {
	if d.doubt == nil {
		return copied{}, nil
	}
	data, err := s.Session.Copy(numSet, d.name)
	return copied{answer: data}, err
}

// copyMessages reads the messages and appends them. After an error, done is how many copies there
// are that could not be taken out.
func (s *session) copyMessages(
	ctx context.Context, messages []message, d destination, p policies, now time.Time,
) (c copied, err error) {
	c = copied{all: len(messages), known: true}
	if d.uidNext > 0 {
		c.uidValidity, c.newest = d.uidValidity, d.uidNext-1
	}
	if d.doubt != nil {
		// The first message shows what the backend says, so that the others need not be read.
		err = s.copyBatch(ctx, &c, messages[:1], d.name, p, now)
		messages = messages[1:]
	}
	if err == nil && len(messages) > 0 {
		err = s.copyBatch(ctx, &c, messages, d.name, p, now)
	}
	if err != nil && s.undo(d.name, c.data()) {
		return copied{}, err
	}
	return c, err
}

// copyBatch adds to c what it copies.
func (s *session) copyBatch(
	ctx context.Context, c *copied, messages []message, dest string, p policies, now time.Time,
) error {
	spool, err := s.reserve(ctx, messages)
	if err != nil {
		return err
	}
	defer spool.close()
	read, err := s.read(ctx, messages, p, spool)
	if err != nil {
		return err
	}
	c.all -= len(messages) - len(read) // those are gone
	c.messages = append(c.messages, read...)
	for c.done < len(c.messages) {
		m := &c.messages[c.done]
		if p.date == Reset {
			m.setDate(now)
		}
		data, err := s.append(ctx, dest, m, spool)
		if err != nil {
			return err
		}
		if err := c.add(m, data); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) append(
	ctx context.Context, dest string, m *message, spool *spool,
) (*imap.AppendData, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	options := &imap.AppendOptions{Time: m.internalDate()}
	if m.flagged {
		var err error
		if options.Flags, err = spool.flags(m.flags); err != nil {
			return nil, err
		}
	}
	return s.Session.Append(dest, spool.literal(m), options)
}

// add notes that the message has been appended. It fails if the mailbox was made anew since the
// last copy, which is gone then. A message with an older UID than the newest one was there before:
// the backend stores equal messages once. Then there is no copy, and what is there must not be
// taken out as one.
func (c *copied) add(m *message, data *imap.AppendData) error {
	isKnown := data != nil && data.UID != 0
	if isKnown && data.UIDValidity == c.uidValidity && data.UID <= c.newest {
		return notStored(m.uid)
	}
	isOther := c.done > 0 && data != nil && data.UIDValidity != c.uidValidity
	c.replaced = isOther && data.UIDValidity != 0 && c.uidValidity != 0
	if !isKnown || isOther {
		c.known = false
	}
	c.done++
	if data != nil {
		c.noUID = c.noUID || data.UID == 0 && data.UIDValidity != 0
		m.copy, c.newest, c.uidValidity = data.UID, data.UID, data.UIDValidity
	}
	if c.replaced {
		c.done = 1 // the others are gone with the mailbox that they were in
		return errReplaced
	}
	return nil
}
