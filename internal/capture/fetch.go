package capture

import (
	"bytes"
	"io"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// dateTimeLayout is that of an INTERNALDATE (RFC 9051 section 9, date-time).
const dateTimeLayout = "_2-Jan-2006 15:04:05 -0700"

// Message is what a session has written about a message in one FETCH response.
type Message struct {
	SeqNum       uint32
	UID          imap.UID    // zero: not written
	Flags        []imap.Flag // nil: not written
	InternalDate time.Time   // to the second; zero: none, or not one that a client can read
	Size         int64       // RFC822.SIZE; negative: not written
}

// Fetch runs call, which must run the FETCH of a session with the given writer. It calls section
// and each, in order, before the session's own writes return.
//
// Section is called for every body section. It gets what the response has before it, the name as it
// is on the wire ("BODY[]", "BODY[HEADER]", "BODY[1.MIME]", "BODY[]<0>", "BINARY[1]"), and the size
// that the session has announced. It returns where the bytes go, or nil to drop them. They are
// passed on as the session writes them, so that a message of any size takes no memory.
//
// Each is called at the end of every response. A session may write its items in any order, and
// those of one message in several responses: join them by SeqNum. Items that are neither in Message
// nor body sections are left out.
//
// Section and each run while the session runs, under whatever locks it holds, and must not call it.
// An error of theirs, or of a writer, makes the session's writes fail, and is returned whatever the
// session returns. Otherwise Fetch returns the session's error unchanged. If the session returns
// none, but has left a response unfinished or has written fewer bytes than it announced, Fetch
// returns an error of its own: then what was handed over is not to be trusted. Fetch may be called
// from several goroutines at once.
func Fetch(
	call func(w *imapserver.FetchWriter) error,
	section func(m *Message, name string, size int64) (io.Writer, error), each func(m *Message) error,
) error {
	var h handover
	r := &responses{
		each: func(text []byte) error {
			s := &scanner{rest: text}
			m, _ := readMessage(s)
			if s.err != nil {
				return s.err
			}
			return each(m)
		},
		literal: func(text []byte, size int64) (io.Writer, error) {
			// Only the name of a body section ends with a bracket. Without this check an envelope
			// would be read again for each of its literals.
			if !bytes.HasSuffix(text, []byte("] ")) && !bytes.HasSuffix(text, []byte("> ")) {
				return nil, nil
			}
			m, name := readMessage(&scanner{rest: text})
			if name == "" {
				return nil, nil
			}
			w, err := section(m, name, size)
			if w == nil {
				w = io.Discard
			}
			return w, err
		},
	}
	converse(&h, r, "s SELECT INBOX\r\nf FETCH 1 UID\r\n")
	defer r.end()

	err := call(h.fetch)
	return r.finish(err, func() error { return h.fetch.CreateMessage(0).Close() }, "* 0 FETCH ()")
}

// readMessage reads a FETCH response. If the text ends before the value of an item, it returns the
// name of that item.
func readMessage(s *scanner) (m *Message, item string) {
	m = &Message{Size: -1}
	s.expect("* ")
	m.SeqNum = s.uint32()
	s.expect(" FETCH ")
	s.list(func() {
		name := string(fetchItem(s))
		s.expect(" ")
		if s.err == nil && len(s.rest) == 0 {
			item = name
		}
		switch name {
		case "UID":
			m.UID = imap.UID(s.uint32())
		case "FLAGS":
			m.Flags = []imap.Flag{}
			s.list(func() { m.Flags = append(m.Flags, imap.Flag(s.atom())) })
		case "RFC822.SIZE":
			m.Size = s.number()
		case "INTERNALDATE":
			m.InternalDate, _ = time.Parse(dateTimeLayout, s.astring()) // zero if it is none
		default:
			s.skip()
		}
	})
	return m, item
}

// fetchItem reads the name of an item together with its section in brackets, in which there may be
// spaces, parentheses and strings.
func fetchItem(s *scanner) []byte {
	text, quoted, brackets := s.rest, false, false
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '[':
			brackets = true
		case b == ']':
			brackets = false
		case b == ' ' && !brackets:
			s.rest = text[i:]
			return text[:i]
		}
	}
	s.fail()
	return nil
}
