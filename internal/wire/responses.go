package wire

import (
	"bytes"
	"strings"
)

type responseState uint8

const (
	inFirstWord  responseState = iota
	inSecondWord               // held back
	inStatus                   // a status response, before its text
	inCode                     // the name of a response code; held back
	inList                     // of capabilities; held back
	inData
	inText
	inReplaced // the server's own text is dropped
)

// maxWord is longer than any word that matters.
const maxWord = 16

// responses passes on what the server sends. It holds back at most the rest of a line.
type responses struct {
	dialogue *dialogue

	state    responseState
	first    byte  // of the first word
	length   uint8 // of the first word; 2 also means more
	untagged bool
	enabled  bool // the list is that of an ENABLED response
	inCode   bool // the list ends at a bracket
	tagged   bool // the line is the answer to a command
	finished bool // a tagged line is complete; kept between lines
	urgent   bool // a line that is not data is complete; kept between lines
	held     []byte
	spec     announcement
	literal  int64 // bytes left of the current one
}

// betweenLines reports whether a whole response may be written now.
func (r *responses) betweenLines() bool {
	return r.state == inFirstWord && r.length == 0 && r.literal == 0
}

// take appends to out what the client gets of in, up to a literal or to the end of in. It returns
// how much of in was used.
func (r *responses) take(out, in []byte) ([]byte, int) {
	for i := 0; i < len(in); i++ {
		if n, instead := r.plain(in[i:]); n > 0 {
			out = appendPlain(out, in[i:i+n], instead)
			i += n - 1
			continue
		}
		if r.state == inText || r.state == inData {
			line := in[i:]
			end := bytes.IndexByte(line, '\n')
			if end >= 0 {
				line = line[:end]
			}
			if r.state == inData {
				r.spec.skim(line)
			}
			out, i = append(out, line...), i+len(line)
			if end < 0 {
				return out, i
			}
		}
		b := in[i]
		out = r.byte(out, b)
		if b != '\n' {
			continue
		}
		size, ok := r.spec.take()
		if ok && r.state == inData {
			if r.literal = size; size > 0 {
				return out, i + 1
			}
			continue
		}
		r.endLine()
	}
	return out, len(in)
}

// endLine prepares for the next line. It frees the memory of what was held back if that is large.
func (r *responses) endLine() {
	held := r.held[:0]
	if cap(held) > 2*maxWord {
		held = nil
	}
	*r = responses{
		dialogue: r.dialogue, held: held,
		finished: r.finished || r.tagged, urgent: r.urgent || r.state != inData,
	}
}

// mayWait reports whether what was taken since the last call is data, which the client need not
// read before its command is answered. A long literal does not wait: joining its pieces costs more
// than it saves.
func (r *responses) mayWait() bool {
	urgent := r.urgent
	r.urgent = false
	return !urgent && r.literal <= bufferSize/2 && (r.state == inData || r.betweenLines())
}

func (r *responses) firstWordIs(b byte) bool { return r.length == 1 && r.first == b }

// plain returns the length of the line at the beginning of in if its content does not concern the
// guard: data without a literal, or a tagged OK. It returns 0 for other lines. If instead is not
// empty, it replaces what follows the tag.
func (r *responses) plain(in []byte) (n int, instead string) {
	if !r.betweenLines() {
		return 0, ""
	}
	end := bytes.IndexByte(in, '\n') + 1
	first, rest, ok := bytes.Cut(in[:end], space)
	switch {
	case !ok || len(first) == 0 || len(rest) == 0 || len(first) == 1 && first[0] == '+':
		return 0, ""
	case len(first) == 1 && first[0] == '*':
		if !isOtherData(rest[0]) || bytes.IndexByte(rest, '{') >= 0 {
			return 0, ""
		}
		return end, ""
	case !bytes.HasPrefix(rest, completed) || concernsUs(rest[len(completed):]):
		return 0, ""
	}
	r.finished, r.urgent = true, true
	return end, r.dialogue.finish("OK")
}

// appendPlain appends a line for which plain has returned a length.
func appendPlain(out, line []byte, instead string) []byte {
	if instead == "" {
		return append(out, line...)
	}
	tag, _, _ := bytes.Cut(line, space)
	return append(append(append(append(out, tag...), ' '), instead...), "\r\n"...)
}

var space, completed = []byte(" "), []byte("OK ")

// isOtherData reports, by its first byte, that a response is neither a status nor capabilities.
func isOtherData(b byte) bool { return b >= '0' && b <= '9' || b == 'F' || b == 'L' || b == 'S' }

// concernsUs reports whether a text may begin with a response code that matters. APPENDUID, UIDNEXT
// and COPYUID do not.
func concernsUs(text []byte) bool {
	return len(text) > 2 && text[0] == '[' && text[1] != 'A' && text[1] != 'U' && text[2] != 'O'
}

func (r *responses) byte(out []byte, b byte) []byte {
	end := b == '\r' || b == '\n'
	switch r.state {
	case inFirstWord:
		if b == ' ' {
			r.untagged = r.firstWordIs('*')
			r.state = inSecondWord
		} else if r.length++; r.length == 1 {
			r.first = b
		} else {
			r.length = 2
		}
	case inSecondWord:
		if !end && b != ' ' && len(r.held) < maxWord {
			r.held = append(r.held, b)
			return out
		}
		out = r.secondWord(out, string(r.held), b == ' ')
		r.held = r.held[:0]
		if r.state == inReplaced {
			return r.replaced(out, b)
		}
		r.spec.feed(b)
	case inStatus:
		r.state = inText
		if b == '[' {
			r.state = inCode
		}
	case inCode:
		if !end && b != ' ' && b != ']' && len(r.held) < maxWord {
			r.held = append(r.held, b)
			return out
		}
		out = r.code(out)
		r.state = inText
		if b == ' ' && strings.EqualFold(string(r.held), "CAPABILITY") {
			r.state, r.inCode = inList, true
		}
		r.held = r.held[:0]
	case inList:
		if !end && !(r.inCode && b == ']') {
			r.held = append(r.held, b)
			return out
		}
		out = r.list(out)
		r.state = inText
	case inData:
		r.spec.feed(b)
	case inReplaced:
		return r.replaced(out, b)
	}
	return append(out, b)
}

// code appends the name of a response code.
func (r *responses) code(out []byte) []byte {
	if r.tagged && string(r.held) == "READ-WRITE" && r.dialogue.isReadOnly() {
		return append(out, "READ-ONLY"...)
	}
	return append(out, r.held...)
}

// replaced passes on only the end of a line.
func (r *responses) replaced(out []byte, b byte) []byte {
	if b == '\n' {
		return append(out, "\r\n"...)
	}
	return out
}

// secondWord decides what kind of response it is, now that there are two words. Spaced is true if
// something follows.
func (r *responses) secondWord(out []byte, word string, spaced bool) []byte {
	r.state = inData
	isStatus := false
	switch strings.ToUpper(word) {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		isStatus = true
	}
	switch {
	case r.untagged && isStatus:
		r.state = inStatus
		r.dialogue.untagged(strings.ToUpper(word))
	case r.untagged:
		if strings.EqualFold(word, "CAPABILITY") && spaced {
			r.state = inList
		} else if strings.EqualFold(word, "ENABLED") && spaced {
			r.state, r.enabled = inList, true
		}
	case r.firstWordIs('+') && !isStatus: // a client may choose this tag, and go-imap accepts it
		r.state = inText
		word = r.dialogue.challenge(word)
	default:
		r.tagged = true
		if instead := r.dialogue.finish(strings.ToUpper(word)); instead != "" {
			r.state = inReplaced
			return append(out, instead...)
		}
		r.state = inStatus
	}
	return append(out, word...)
}

func (r *responses) list(out []byte) []byte {
	list := string(r.held)
	r.held = r.held[:0]
	caps := strings.Split(list, " ")
	if r.enabled {
		r.dialogue.enabled(caps)
		return append(out, list...)
	}
	return append(out, strings.Join(r.dialogue.capabilities(caps), " ")...)
}
