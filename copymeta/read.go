package copymeta

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/capture"
)

// message is one that was read, with what its copy is to have.
type message struct {
	uid     imap.UID
	date    time.Time
	flags   []imap.Flag
	deleted bool // the source has \Deleted
	body    body
}

// read fetches the messages of the set in the order of their UIDs.
func (s *session) read(
	numSet imap.NumSet, p policies, now time.Time, spool *spool,
) ([]message, error) {
	whole := &imap.FetchItemBodySection{Peek: true}
	options := &imap.FetchOptions{
		UID:          true,
		RFC822Size:   true,
		InternalDate: p.date != Reset,
		Flags:        p.flags != Reset || s.options.Move,
		BodySection:  []*imap.FetchItemBodySection{whole},
	}
	var messages []message
	var total int64
	var current *body // nil until the response has it
	section := func(m *capture.Message, name string, size int64) (io.Writer, error) {
		if name != "BODY[]" {
			return nil, nil
		}
		if limit := s.options.MaxBytes; limit > 0 && size > limit-total {
			return nil, ErrTooLarge
		}
		total += size
		current = &body{}
		return spool.writer(current, size)
	}
	each := func(m *capture.Message) error {
		var body *body
		body, current = current, nil
		switch {
		case body == nil || m.UID == 0 || m.Size < 0:
			return incomplete(m.UID, "its content, size or UID is missing")
		case body.size != m.Size:
			return incomplete(m.UID, fmt.Sprintf("%d bytes instead of %d", body.size, m.Size))
		case p.date == Preserve && m.InternalDate.IsZero():
			return incomplete(m.UID, "its internal date is missing")
		case options.Flags && m.Flags == nil:
			return incomplete(m.UID, "its flags are missing")
		}
		next := message{
			uid:     m.UID,
			date:    now,
			body:    *body,
			deleted: slices.ContainsFunc(m.Flags, isFlag(imap.FlagDeleted)),
		}
		if p.date != Reset {
			next.date = m.InternalDate
		}
		if p.flags != Reset {
			next.flags = slices.DeleteFunc(m.Flags, isFlag(`\Recent`))
		}
		messages = append(messages, next)
		return nil
	}
	err := capture.Fetch(
		func(w *imapserver.FetchWriter) error { return s.Session.Fetch(w, numSet, options) }, section,
		each,
	)
	return inOrder(messages), err
}

// look is read for the UIDs and \Deleted only.
func (s *session) look(numSet imap.NumSet) ([]message, error) {
	var messages []message
	err := capture.Fetch(func(w *imapserver.FetchWriter) error {
		return s.Session.Fetch(w, numSet, &imap.FetchOptions{UID: true, Flags: true})
	}, noSection, func(m *capture.Message) error {
		if m.UID == 0 || m.Flags == nil {
			return incomplete(m.UID, "its flags or UID is missing")
		}
		messages = append(
			messages, message{uid: m.UID, deleted: slices.ContainsFunc(m.Flags, isFlag(imap.FlagDeleted))},
		)
		return nil
	})
	return inOrder(messages), err
}

func noSection(*capture.Message, string, int64) (io.Writer, error) { return nil, nil }

func isFlag(flag imap.Flag) func(imap.Flag) bool {
	return func(f imap.Flag) bool { return strings.EqualFold(string(f), string(flag)) }
}

// inOrder sorts by UID, which is the order in the mailbox, and leaves out what the backend wrote
// twice.
func inOrder(messages []message) []message {
	slices.SortStableFunc(messages, func(a, b message) int { return cmp.Compare(a.uid, b.uid) })
	return slices.CompactFunc(messages, func(a, b message) bool { return a.uid == b.uid })
}
