// Package copymeta decides whether COPY keeps the internal date and the flags of a message, or
// resets them, whatever the backend does.
//
// RFC 9051 section 6.4.7 says that a copy should have both. Some want a copy to be a new message
// instead, that is unread and arrives now; and some backends forget one or the other. [Wrap] lets
// the server's owner choose.
//
// # How a copy is made
//
// With [Reset] or [Preserve] for the copy at hand, COPY and UID COPY fetch the messages from the
// backend and append them. In order:
//
//  1. The backend is asked to copy a UID that no message can have, 4294967295, to the destination. It copies nothing by that (RFC 9051
//     section 6.4.9), and the answer that it has for this destination, such as TRYCREATE or that it is the mailbox itself, is the client's.
//  2. All messages are read, with BODY.PEEK[], RFC822.SIZE, and INTERNALDATE and FLAGS where they are wanted. The set goes to the backend
//     as the client sent it, so that "$", "*" and sequence numbers mean what they mean to its own COPY. A message that is gone
//     is not copied; nor is anything, if one message has another number of bytes than its RFC822.SIZE, or comes without what was asked for.
//  3. They are appended in the order of their UIDs, all bytes as they were read. \Recent is left out of the flags.
//
// The answer has COPYUID (RFC 4315) if something was copied and the backend's APPEND reports UIDs.
//
// FETCH is the only way to read a message through a session. If it answers other bytes than are
// stored, but as many, the copy has them, as any client's would. And if it does not answer all of
// them, nothing else does: with go-imap's own ExtractBodySection, which imapmemserver and other
// backends use, a message without a header is empty in every section, and so cannot be copied. It
// also adds a CR to each LF without one that ends a line of the header, so that such a message
// cannot be copied either. A backend that has such messages should be a [Copier].
//
// # When it fails
//
// Until the last message is read nothing has been appended. If an APPEND fails then, what was
// appended is taken out again by a backend that is an [Undoer], and the client gets the backend's
// error. Nothing else can take them out: a session expunges from the mailbox that is selected only,
// and not during a COPY even there, which has no way to tell the client. With any other backend the
// copies stay, and the client gets a NO that says how many there are.
//
// # MOVE
//
// With [Options.Move], MOVE and UID MOVE are such a copy, after which the messages that were
// copied, and no others, get \Deleted and are expunged by their UIDs. If only some could be copied,
// and not taken out again, those are moved (RFC 6851 section 3.3: none should be left in both
// mailboxes), and the client gets COPYUID for them and a NO that says how many. Before anything is
// read the backend is asked to put \Deleted on UID 4294967295: where messages cannot be deleted,
// that is its chance to say so.
//
// # What it costs
//
// Each message is read and written once, within the server. Beside [Options.MaxMemory], a COPY
// takes some 200 bytes of memory for each message, and its flags. A COPY is no FETCH to those who
// limit FETCHes.
package copymeta

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/keep"
)

// NewSessionFunc is what an [imapserver.Server] calls for each connection.
type NewSessionFunc = func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error)

// Wrap returns a NewSession function whose sessions copy as the options say. Nil options equal the
// zero value; they are copied. Wrap panics with the error of [Options.Validate]. It goes directly
// around the backend: a [Copier] or [Undoer] with another wrapper around it is not seen.
//
// The sessions have exactly the optional interfaces of those that next makes, and are those
// themselves if the options change nothing. The function may be called for any number of
// connections at once.
func Wrap(next NewSessionFunc, options *Options) NewSessionFunc {
	var o Options
	if options != nil {
		o = *options
	}
	if err := o.Validate(); err != nil {
		panic(err)
	}
	if o.PolicyFor == nil && o.InternalDate == Keep && o.Flags == Keep {
		return next
	}
	return func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		inner, greeting, err := next(conn)
		if err != nil {
			if inner != nil {
				inner.Close() // the server does so only for those that come without an error
			}
			return nil, nil, err
		}
		return keep.Optional(&session{Session: inner, options: &o}, inner), greeting, nil
	}
}

// session is a session of the backend.
type session struct {
	imapserver.Session
	options  *Options
	mailbox  string // the selected one
	readOnly bool   // it was opened by EXAMINE
}

// Select implements [imapserver.Session].
func (s *session) Select(mailbox string, options *imap.SelectOptions) (*imap.SelectData, error) {
	data, err := s.Session.Select(mailbox, options)
	if err == nil {
		s.mailbox, s.readOnly = mailbox, options.ReadOnly
	}
	return data, err
}

// policies returns those for a copy from the selected mailbox.
func (s *session) policies(dest string) (policies, error) {
	if s.options.PolicyFor == nil {
		return policies{s.options.InternalDate, s.options.Flags}, nil
	}
	date, flags := s.options.PolicyFor(s.mailbox, dest)
	p := policies{date, flags}
	return p, p.validate("PolicyFor's date", "PolicyFor's flags")
}
