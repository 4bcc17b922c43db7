// Package copymeta decides whether COPY keeps the internal date and the flags of a message, or
// resets them, whatever the backend does.
//
//	newSession = copymeta.Wrap(newSession, &copymeta.Options{
//		InternalDate: copymeta.Preserve,
//		Flags:        copymeta.Reset,
//		MaxBytes:     1 << 30,
//	})
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
//  1. The backend is asked for the STATUS of the destination. An error proves nothing, for who may
//     append need not be allowed to ask; but then the first message is read and appended before the
//     others are read, so that the backend says what is the case. The client reads that, TRYCREATE
//     or another answer.
//  2. The messages are looked up, with UID and RFC822.SIZE. The set goes to the backend as the
//     client sent it, so that "$", "*" and sequence numbers mean what they mean to its own COPY.
//  3. They are read by their UIDs, with BODY.PEEK[], and INTERNALDATE and FLAGS where they are
//     wanted. A message that is gone by now is not copied; nor is anything, if one message has
//     another number of bytes than its RFC822.SIZE (but see below), or comes without what was asked
//     for.
//  4. They are appended in the order of their UIDs, all bytes as they were read, with their date
//     and flags. \Recent is left out of the flags. A backend whose APPEND takes no notice of the
//     date or the flags gives the copy its own.
//
// The answer has COPYUID (RFC 4315) if something was copied and the backend's APPEND reports UIDs.
// A mailbox can be copied to itself, whatever the backend's own COPY says to that.
//
// Some backends store equal messages once, and say OK to an APPEND of one that they have. That is
// no copy, and after it a MOVE would lose the message. So an APPEND has failed if its UID is older
// than the destination's UIDNEXT was; without UIDs that is found out by UIDNEXT at the end, for a
// MOVE and for a backend that reports a UIDVALIDITY alone.
//
// The backend may answer as RFC 9051 allows it: the items of a message in several responses, and
// responses in between that nobody asked for. If those tell of flags that others have changed, the
// client reads them after the copy.
//
// FETCH is the only way to read a message through a session. The copy has the bytes that it
// answers, which are those that any client would copy. If it answers fewer than RFC822.SIZE says,
// the message is not copied, and the answer names it: [imapserver.ExtractBodySection], which
// imapmemserver and other backends use, delivers nothing of a message without a header, whatever it
// is asked for. A client can copy the other messages then. A backend that has such messages should
// be a [Copier].
//
// More bytes than RFC822.SIZE says are copied where it counts line ends as one byte: those of the
// header, to which that function adds the missing CRs, or all of them, as a backend does that
// stores none. The copy has these CRs, and a size that counts them. A message of no bytes, for
// which that function delivers an empty line, has no bytes in the copy either.
//
// # While it runs
//
// The client reads an INPROGRESS response (RFC 9585) every [Options.ProgressInterval], also while
// the command waits. When the client has hung up, which only Linux tells at once, the command stops
// within half a second, before the next message; what was appended is taken out again by a backend
// that is an [Undoer], or whose APPEND reports UIDs. A MOVE that cannot take out the copies of some
// messages moves those. Then the connection is closed, so that no command runs that the client has
// sent in advance.
//
// # When it fails
//
// Until the last message is read nothing has been appended, unless there was doubt about the
// destination. If an APPEND fails then, what was appended is taken out again by a backend that is
// an [Undoer], and the client gets the backend's error. Nothing else can take them out while the
// client is there: a session expunges from the mailbox that is selected only, and not during a COPY
// even there, which has no way to tell the client. With any other backend the copies stay, and the
// client gets a NO that says how many there are.
//
// # MOVE
//
// With [Options.Move], MOVE and UID MOVE are such a copy, after which the messages that were
// copied, and no others, get \Deleted and are expunged by their UIDs. If only some could be copied,
// and not taken out again, those are moved (RFC 6851 section 3.3: none should be left in both
// mailboxes), and the client gets COPYUID for them and a NO that says how many. But none is moved
// if the destination was deleted meanwhile, and maybe made anew: copies may have gone with it. If
// the backend's PERMANENTFLAGS have neither \Deleted nor \*, it is asked to take \Deleted off a
// message that does not have it, before anything is read: where messages cannot be deleted, that is
// its chance to say so.
//
// MOVEs of one message take turns, over all sessions of the process, so that it is never moved
// twice. A message is known by its UID, size and internal date and the UIDVALIDITY of its mailbox,
// whatever that is called and whose it is: of two messages that have all of this in common, one
// waits for the other. If somebody else expunges a message while it is moved, an [Undoer] takes its
// copy out.
//
// # What it costs
//
// Each message is read and written once, within the server. [Options] bounds the bytes that this
// takes in memory and in files, for one command and for all. Users are told apart by the names that
// they log in with, or by [Options.Username]; a session whose user is not known counts as a user of
// its own.
//
// The first message that has no room in memory goes to a temporary file, and so do those after it.
// Where the system allows it, which Windows does not, that file has no name by the time that
// something is written to it, so that nothing is left whatever happens to the process.
//
// Beside that, a COPY takes some 70 bytes of memory for each message, which no option bounds, a
// MOVE some 40 more, up to 40 KB for their flags, and some 15 KB while it reads. The backend is
// asked for a STATUS and a FETCH of sizes more than it takes to read the messages. A COPY is no
// FETCH to those who limit FETCHes.
package copymeta

import (
	"context"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/budget"
	"github.com/imapgate/imapgate/internal/keep"
	"github.com/imapgate/imapgate/internal/progress"
	"github.com/imapgate/imapgate/internal/socket"
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
	shared := newShared(o)
	return func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		inner, greeting, err := next(conn)
		if err != nil {
			if inner != nil {
				inner.Close() // the server does so only for those that come without an error
			}
			return nil, nil, err
		}
		s := &session{Session: inner, shared: shared, conn: conn}
		if conn != nil {
			s.socket, s.notice.Conn = socket.Of(conn.NetConn()), conn.NetConn
		}
		return keep.Optional(s, inner), greeting, nil
	}
}

// shared is what the sessions of one Wrap have together.
type shared struct {
	options                  Options
	memoryBudget, fileBudget *budget.Budget
	watcher                  socket.Watcher
}

func newShared(o Options) *shared {
	return &shared{
		options:      o,
		memoryBudget: budget.New(o.MaxTotalMemory),
		fileBudget:   budget.New(o.MaxTotalBytes),
	}
}

// session is a session of the backend.
type session struct {
	imapserver.Session
	*shared
	conn   *imapserver.Conn
	socket *socket.Socket
	notice progress.Notice // while a COPY or MOVE goes on
	user   string          // who is logged in; "": not known

	mailbox     string // the selected one
	uidValidity uint32
	readOnly    bool // it was opened by EXAMINE
	deletes     bool // its messages can be deleted, by its PERMANENTFLAGS
	news        news // of the running command
}

// Select implements [imapserver.Session].
func (s *session) Select(mailbox string, options *imap.SelectOptions) (*imap.SelectData, error) {
	data, err := s.Session.Select(mailbox, options)
	if err == nil {
		s.mailbox, s.uidValidity, s.readOnly = mailbox, data.UIDValidity, options.ReadOnly
		s.deletes = slices.ContainsFunc(data.PermanentFlags, func(f imap.Flag) bool {
			return isFlag(imap.FlagDeleted)(f) || f == imap.FlagWildcard
		})
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

// What a client is told while its command goes on.
const (
	textRunning = "The command is running"
	textWaiting = "The command waits for its turn"
)

// begin starts a command. Its context ends with errGone when the client is gone. It must be ended
// before anything is written to the client, and may be ended again.
func (s *session) begin() (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := func() { cancel(errGone) }
	watch := s.watcher.Watch(s.socket, gone)
	if s.conn != nil {
		s.notice.Start(progress.Command{
			Interval: s.options.ProgressInterval, Text: textRunning, Lost: gone,
		})
	}
	return ctx, func() {
		watch.Stop()
		s.notice.Stop()
		cancel(nil)
	}
}

// isGone tells whether the client of a command is gone.
func isGone(ctx context.Context) bool { return context.Cause(ctx) == errGone }

// hangUp closes the connection of a client that is gone. Nothing can be answered then, and so the
// server runs no command that was sent in advance, such as the STORE and EXPUNGE that were to
// follow a COPY.
func (s *session) hangUp() {
	if s.conn != nil {
		s.conn.NetConn().Close()
	}
}

// wait runs f, which waits for something that others have, for as long as QueueTimeout. Then the
// context of f ends with the refusal.
func (s *session) wait(
	ctx context.Context, refusal error, f func(ctx context.Context) error,
) error {
	s.notice.Say(textWaiting)
	defer s.notice.Say(textRunning)
	if timeout := s.options.QueueTimeout; timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, refusal)
		defer cancel()
	}
	if err := f(ctx); err != nil {
		return context.Cause(ctx)
	}
	return nil
}
