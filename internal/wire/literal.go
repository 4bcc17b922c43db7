package wire

import "bytes"

// maxLiteral caps sizes that no server accepts, so that they do not overflow.
const maxLiteral = 1 << 60

// announcement recognises a literal at the end of a line: {n}, {n+} or {n-} before CRLF (RFC 9051
// section 4.3, RFC 7888). As go-imap does, it also accepts LF alone, and a space before CRLF or LF.
// It is fed all bytes of the line, except those of quoted strings.
type announcement struct {
	size    int64
	state   announcementState
	nonSync bool // the client sends it without waiting
}

type announcementState uint8

const (
	noLiteral announcementState = iota
	literalOpen
	literalDigits
	literalSign
	literalClosed
	literalSpace
	literalCR
	literalComplete
)

func (a *announcement) feed(b byte) {
	switch {
	case b == '{':
		a.state, a.size, a.nonSync = literalOpen, 0, false
	case b >= '0' && b <= '9' && (a.state == literalOpen || a.state == literalDigits):
		a.state, a.size = literalDigits, min(a.size*10+int64(b-'0'), maxLiteral)
	case (b == '+' || b == '-') && a.state == literalDigits:
		a.state, a.nonSync = literalSign, b == '+'
	case b == '}' && (a.state == literalDigits || a.state == literalSign):
		a.state = literalClosed
	case b == ' ' && a.state == literalClosed:
		a.state = literalSpace
	case b == '\r' && (a.state == literalClosed || a.state == literalSpace):
		a.state = literalCR
	case b == '\n' && (a.state == literalClosed || a.state == literalSpace || a.state == literalCR):
		a.state = literalComplete
	default:
		a.state = noLiteral
	}
}

// skim feeds bytes before the end of the line, but looks only at those that can matter.
func (a *announcement) skim(line []byte) {
	if open := bytes.LastIndexByte(line, '{'); open >= 0 {
		line = line[open:]
	} else if a.state == noLiteral {
		return
	}
	for _, b := range line {
		a.feed(b)
	}
}

// take returns the size of the literal that the line announced; ok is false if it announced none.
// Then the next line can be fed.
func (a *announcement) take() (size int64, ok bool) {
	size, ok = a.size, a.state == literalComplete
	*a = announcement{}
	return size, ok
}
