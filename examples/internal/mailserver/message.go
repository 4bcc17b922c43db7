package mailserver

import (
	"bytes"
	"errors"
	"io"
	"net/mail"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// message is one to be put into a mailbox.
type message struct {
	content []byte // with CRLF line ends
	date    time.Time
	flags   []imap.Flag
}

func (m *message) reader() imap.LiteralReader { return bytes.NewReader(m.content) }

var (
	errEmpty  = errors.New("it is empty")
	errHeader = errors.New("it is not a message: its header cannot be read")
)

// newMessage makes a message of what a file contains. Its date is that of the From_ line if there
// is one, or that of the header, or else fileTime.
func newMessage(raw []byte, fileTime time.Time) (message, error) {
	date, raw := cutFromLine(raw)
	content := toCRLF(raw)
	if len(bytes.TrimSpace(content)) == 0 {
		return message{}, errEmpty
	}
	if !readable(content) {
		// The empty line after the header may be missing when there is no body (RFC 5322 section
		// 3.5), but go-imap asks for it.
		content = append(content, "\r\n"...)
		if !bytes.HasSuffix(content, []byte("\r\n\r\n")) {
			content = append(content, "\r\n"...)
		}
		if !readable(content) {
			return message{}, errHeader
		}
	}
	if date.IsZero() {
		date = headerDate(content)
	}
	if date.IsZero() {
		date = fileTime
	}
	return message{content: content, date: date}, nil
}

// readable tells whether go-imap can serve the message. One whose header it cannot read has neither
// BODY[] nor ENVELOPE.
func readable(content []byte) bool {
	all := imapserver.ExtractBodySection(bytes.NewReader(content), &imap.FetchItemBodySection{})
	return len(all) == len(content)
}

// headerDate returns the zero time if there is no date that can be read.
func headerDate(content []byte) time.Time {
	field := imapserver.ExtractBodySection(bytes.NewReader(content), &imap.FetchItemBodySection{
		Specifier:    imap.PartSpecifierHeader,
		HeaderFields: []string{"Date"},
	})
	m, err := mail.ReadMessage(bytes.NewReader(field))
	if err != nil {
		return time.Time{}
	}
	date, err := m.Header.Date()
	if err != nil {
		return time.Time{}
	}
	return date
}

// toCRLF returns a copy of the text, in which each LF or CRLF is a CRLF.
func toCRLF(text []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(text) + bytes.Count(text, []byte{'\n'}))
	for line := range bytes.Lines(text) {
		if body, ok := bytes.CutSuffix(line, []byte{'\n'}); ok {
			out.Write(bytes.TrimSuffix(body, []byte{'\r'}))
			io.WriteString(&out, "\r\n")
		} else {
			out.Write(line)
		}
	}
	return out.Bytes()
}
