package copymeta

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/imapgate/imapgate/internal/capture"
)

// look finds the messages of the set, in the order of their UIDs. For a MOVE it asks for the flags
// and the internal date too.
func (s *session) look(ctx context.Context, numSet imap.NumSet, move bool) ([]message, error) {
	var messages []message
	j := join{
		complete: func(p *part) bool { return p.UID != 0 && p.Size >= 0 && (!move || p.Flags != nil) },
		done: func(p *part) error {
			m := message{
				uid:     p.UID,
				seqNum:  p.SeqNum,
				size:    p.Size,
				deleted: slices.ContainsFunc(p.Flags, isFlag(imap.FlagDeleted)),
			}
			m.setDate(p.InternalDate)
			messages = append(messages, m)
			return nil
		},
	}
	options := &imap.FetchOptions{UID: true, RFC822Size: true, Flags: move, InternalDate: move}
	err := s.fetch(ctx, numSet, options, noSection, func(m *capture.Message) error {
		return j.add(m, nil)
	})
	if err != nil {
		return nil, err
	}
	messages = inOrder(messages)
	var seqNums []uint32 // sorted; nil if not needed yet
	return messages, j.rest(func(p *part) error {
		if seqNums == nil { // a backend may tell something more of each of a million messages
			seqNums = seqNumsOf(messages)
		}
		_, found := find(messages, p.UID)
		if !found && p.SeqNum != 0 {
			_, found = slices.BinarySearch(seqNums, p.SeqNum)
		}
		if found || p.Size < 0 && !mayContain(numSet, p, len(messages) > 0) {
			s.note(&p.Message) // nobody asked for it
			return nil
		}
		return incomplete(p.UID, "its flags, size or UID is missing")
	})
}

// mayContain tells whether the message may be in the set. Only the backend knows what "*" and "$"
// stand for. Where that leaves a doubt, the message is in the set if no other was found: a backend
// that tells something of some messages does not leave it out for others.
func mayContain(numSet imap.NumSet, p *part, others bool) bool {
	uncertain := numSet.Dynamic()
	contains := false
	switch set := numSet.(type) {
	case imap.SeqSet:
		contains = p.SeqNum != 0 && set.Contains(p.SeqNum)
		uncertain = uncertain || p.SeqNum == 0
	case imap.UIDSet:
		contains = p.UID != 0 && set.Contains(p.UID)
		uncertain = uncertain || p.UID == 0
	}
	return contains || uncertain && !others
}

// read fetches the messages into the spool, and returns those that were still there.
func (s *session) read(
	ctx context.Context, messages []message, p policies, spool *spool,
) ([]message, error) {
	first, others := messages[:spool.held], messages[spool.held:]
	spool.useMemory()
	if err := s.readInto(ctx, first, p, spool); err != nil {
		return nil, err
	}
	spool.useFile()
	if err := s.readInto(ctx, others, p, spool); err != nil {
		return nil, err
	}
	if err := spool.flush(); err != nil {
		return nil, err
	}
	return s.withoutGone(ctx, messages)
}

// withoutGone leaves out the messages that were not read because they are gone. One that is still
// there cannot be read.
func (s *session) withoutGone(ctx context.Context, messages []message) ([]message, error) {
	isUnread := func(m message) bool { return !m.read }
	if !slices.ContainsFunc(messages, isUnread) {
		return messages, nil
	}
	var unread []message
	for _, m := range messages {
		if isUnread(m) {
			unread = append(unread, m)
		}
	}
	there, err := s.lookAgain(ctx, unread)
	if err != nil {
		return nil, err
	}
	if len(there) > 0 {
		return nil, incomplete(there[0].uid, "its content is not delivered")
	}
	return slices.DeleteFunc(messages, isUnread), nil
}

func (s *session) readInto(
	ctx context.Context, messages []message, p policies, spool *spool,
) error {
	options := &imap.FetchOptions{
		UID:          true,
		InternalDate: p.date != Reset,
		Flags:        p.flags != Reset,
		BodySection:  []*imap.FetchItemBodySection{{Peek: true}},
	}
	r := &reading{messages: messages, policies: p, spool: spool}
	r.join = join{
		complete: func(p *part) bool {
			return p.UID != 0 && p.body != nil && (!options.Flags || p.Flags != nil) &&
				(!options.InternalDate || !p.InternalDate.IsZero())
		},
		done: r.take,
	}
	for uids := range slices.Chunk(uidsOf(messages), maxRanges) {
		if err := s.fetch(ctx, uids, options, r.section, r.each); err != nil {
			return err
		}
	}
	return r.join.rest(func(p *part) error {
		if r.isUnasked(p) {
			s.note(&p.Message)
			return nil
		}
		return r.incomplete(p)
	})
}

// reading is one FETCH of messages into a spool.
type reading struct {
	policies
	messages []message
	spool    *spool
	join     join
	body     *body // that of the response; nil until it has come
}

func (r *reading) section(m *capture.Message, name string, size int64) (io.Writer, error) {
	if name != "BODY[]" {
		return nil, nil
	}
	if m.UID != 0 {
		wanted := r.wanted(m.UID)
		if wanted == nil {
			return nil, nil
		}
		if mayHaveMoreCRs(wanted, size) {
			var err error
			r.body, err = r.spool.longerBody(size)
			return r.body, err
		}
		if size != wanted.size && !mayBeEmpty(wanted, size) {
			return nil, wrongSize(wanted, size)
		}
	}
	r.body = r.spool.body(size)
	return r.body, nil
}

// wanted returns the message if it was asked for and has not been read.
func (r *reading) wanted(uid imap.UID) *message {
	if i, ok := find(r.messages, uid); ok && !r.messages[i].read {
		return &r.messages[i]
	}
	return nil
}

func (r *reading) each(m *capture.Message) error {
	body := r.body
	r.body = nil
	if body != nil && m.UID != 0 {
		wanted := r.wanted(m.UID)
		if wanted == nil {
			r.spool.drop(body)
			body = nil
		} else if err := r.check(wanted, body); err != nil {
			return err
		}
	}
	return r.join.add(m, body)
}

// check fails if the body has not the size of the message.
func (r *reading) check(m *message, body *body) error {
	if mayBeEmpty(m, body.size) && string(body.start[:]) == emptyLine {
		r.spool.drop(body)
		body.size = 0
	}
	more := body.size - m.size
	isComplete := more == 0 ||
		body.lines != nil && (more == body.lines.all || more == body.lines.header)
	if !isComplete || body.keep != body.size {
		return wrongSize(m, body.size)
	}
	return nil
}

// mayHaveMoreCRs tells whether the RFC822.SIZE of a message may count line ends as one byte that
// are delivered as two. Those are all line ends, if the backend stores no CRs, or those of the
// header, if go-imap's ExtractBodySection delivers a message that is stored with bare LFs. The
// number of CRLFs that are delivered shows whether it is so.
func mayHaveMoreCRs(m *message, size int64) bool { return m.size < size && size <= 2*m.size }

// emptyLine is what go-imap's ExtractBodySection makes of a message of no bytes: the end of a
// header.
const emptyLine = "\r\n"

func mayBeEmpty(m *message, size int64) bool { return m.size == 0 && size == int64(len(emptyLine)) }

func wrongSize(m *message, size int64) error {
	return incomplete(m.uid, fmt.Sprintf("%d bytes instead of %d", size, m.size))
}

// take notes where in the spool the message is.
func (r *reading) take(p *part) error {
	m, body := r.wanted(p.UID), p.body
	if m == nil {
		r.spool.drop(body)
		return nil
	}
	if err := r.check(m, body); err != nil {
		return err
	}
	m.read, m.size = true, body.size
	m.inFile, m.offset = body.inFile, body.offset
	m.setDate(p.InternalDate) // none if it was not asked for
	if r.policies.flags == Reset {
		return nil
	}
	var err error
	m.flags, err = r.spool.addFlags(slices.DeleteFunc(p.Flags, isFlag(`\Recent`)))
	m.flagged = true
	return err
}

// isUnasked tells whether nobody asked for the message, of which something is missing.
func (r *reading) isUnasked(p *part) bool {
	return p.UID == 0 && p.body == nil || p.UID != 0 && r.wanted(p.UID) == nil
}

// incomplete decides what becomes of a message of which something is missing.
func (r *reading) incomplete(p *part) error {
	switch {
	case p.UID == 0 || p.body == nil:
		return incomplete(p.UID, "its content or UID is missing")
	case r.policies.flags != Reset && p.Flags == nil:
		return incomplete(p.UID, "its flags are missing")
	case r.date == Preserve && p.InternalDate.IsZero():
		return incomplete(p.UID, "its internal date is missing")
	}
	return r.take(p)
}

func noSection(*capture.Message, string, int64) (io.Writer, error) { return nil, nil }

func isFlag(flag imap.Flag) func(imap.Flag) bool {
	return func(f imap.Flag) bool { return strings.EqualFold(string(f), string(flag)) }
}
