package capture

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// List runs call, which must run the LIST of a session with the options and the given writer. It
// calls each with every mailbox that the session writes, in order, before the session's own
// WriteList returns.
//
// Each gets what a client would read: the attributes in the session's order and spelling, the
// delimiter, the exact name ("INBOX" for INBOX in any case), CHILDINFO, OLDNAME, and the items of
// the status that options.ReturnStatus asks for. It may keep the mailbox, but must not change its
// attributes, which mailboxes share. It runs while the session runs, under whatever locks that
// holds, and must not call the session.
//
// An error of each makes the session's writes fail, and is returned whatever the session returns.
// Otherwise List returns the session's error unchanged, or one of its own if the session returns
// none but has left a response unfinished. List may be called from several goroutines at once.
func List(
	options *imap.ListOptions, call func(w *imapserver.ListWriter) error,
	each func(*imap.ListData) error,
) error {
	var h handover
	reader := &listReader{each: each}
	r := &responses{each: reader.read}
	converse(&h, r, "l LIST \"\" \"\"\r\n")
	defer r.end()
	*h.options = *options

	err := call(h.list)
	if err == nil {
		r.flush(reader.flush)
	}
	return r.finish(
		err, func() error { return h.list.WriteList(&imap.ListData{}) }, `* LIST () NIL ""`,
	)
}

// listReader joins the STATUS of a mailbox to the LIST response before it.
type listReader struct {
	each func(*imap.ListData) error
	last *imap.ListData
	// attrsText and attrs are the attributes of the mailbox before, which most others have too.
	attrsText []byte
	attrs     []imap.MailboxAttr
}

func (l *listReader) read(text []byte) error {
	s := &scanner{rest: text}
	if s.accept("* STATUS ") && l.last != nil {
		l.last.Status = readStatus(s)
		return s.err
	}
	if err := l.flush(); err != nil {
		return err
	}
	s.expect("* LIST ")
	l.last = l.readList(s)
	return s.err
}

// flush hands over the last mailbox, once no STATUS of it can follow.
func (l *listReader) flush() error {
	data := l.last
	if data == nil {
		return nil
	}
	l.last = nil
	return l.each(data)
}

func (l *listReader) readList(s *scanner) *imap.ListData {
	data := &imap.ListData{Attrs: l.readAttrs(s)}
	s.expect(" ")
	if !s.accept("NIL") {
		data.Delim, _ = utf8.DecodeRuneInString(s.astring())
	}
	s.expect(" ")
	data.Mailbox = mailbox(s)
	if len(s.rest) == 0 {
		return data
	}
	s.expect(" ")
	s.list(func() {
		switch string(s.atom()) {
		case "CHILDINFO":
			data.ChildInfo = &imap.ListDataChildInfo{}
			s.expect(" ")
			s.list(
				func() { data.ChildInfo.Subscribed = s.astring() == "SUBSCRIBED" || data.ChildInfo.Subscribed },
			)
		case "OLDNAME":
			s.expect(" ")
			s.list(func() { data.OldName = mailbox(s) })
		default:
			s.expect(" ")
			s.skip()
		}
	})
	return data
}

// readAttrs returns the attributes of the mailbox before if these are the same.
func (l *listReader) readAttrs(s *scanner) []imap.MailboxAttr {
	end := bytes.IndexByte(s.rest, ')') + 1
	if end > 0 && string(s.rest[:end]) == string(l.attrsText) {
		s.rest = s.rest[end:]
		return l.attrs
	}
	text := s.rest
	var attrs []imap.MailboxAttr
	s.list(func() { attrs = append(attrs, imap.MailboxAttr(s.atom())) })
	if s.err == nil {
		l.attrsText = append(l.attrsText[:0], text[:len(text)-len(s.rest)]...)
		l.attrs = slices.Clip(attrs)
	}
	return l.attrs
}

// mailbox reads a mailbox name. UTF-8 is enabled, so that "&-" stands for "&" and everything else
// for itself (RFC 9051, appendix A.1).
func mailbox(s *scanner) string {
	return strings.ReplaceAll(s.astring(), "&-", "&")
}

func readStatus(s *scanner) *imap.StatusData {
	data := &imap.StatusData{Mailbox: mailbox(s)}
	s.expect(" ")
	s.list(func() {
		name := string(s.atom())
		s.expect(" ")
		switch name {
		case "MESSAGES":
			data.NumMessages = new(s.uint32())
		case "UIDNEXT":
			data.UIDNext = imap.UID(s.uint32())
		case "UIDVALIDITY":
			data.UIDValidity = s.uint32()
		case "UNSEEN":
			data.NumUnseen = new(s.uint32())
		case "DELETED":
			data.NumDeleted = new(s.uint32())
		case "SIZE":
			data.Size = new(s.number())
		case "APPENDLIMIT":
			if !s.accept("NIL") {
				data.AppendLimit = new(s.uint32())
			}
		case "DELETED-STORAGE":
			data.DeletedStorage = new(s.number())
		case "RECENT":
			data.NumRecent = new(s.uint32())
		default:
			s.skip()
		}
	})
	return data
}
