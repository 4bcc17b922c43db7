package wire

import "strings"

// The commands that plain does not take are taken byte by byte here.

// substitute replaces a CR without LF. Only a literal may contain such a CR, and go-imap ends some
// lines there, but not others.
const substitute = 0x1a

// take appends to out what the server may have of in, and returns how much of in was used. It stops
// at the end of a unit.
func (r *requests) take(out, in []byte) ([]byte, int) {
	if r.literal > 0 { // of a command that is dropped
		n := int(min(r.literal, int64(len(in))))
		r.literal -= int64(n)
		return out, n
	}
	for i := 0; i < len(in); i++ {
		if n := r.ordinary(in[i:]); n > 0 {
			out = append(out, in[i:i+n]...)
			if i += n; i == len(in) {
				break
			}
		}
		b := in[i]
		var stop bool
		switch r.state {
		case inDropped:
			r.drop(b)
			stop = r.literal > 0
		case beforeReply, inReply:
			out = append(out, b)
			r.state = inReply
			if stop = b == '\n'; stop {
				r.state = afterLine
			}
		default:
			out, stop = r.command(out, b)
		}
		if stop {
			return out, i + 1
		}
	}
	return out, len(in)
}

// ordinary returns how many bytes of in are arguments without special meaning.
func (r *requests) ordinary(in []byte) int {
	if r.state != inArguments || r.cr || r.quoted || r.spec.state != noLiteral || r.nesting != nil {
		return 0
	}
	most := r.mostText() - len("\r") - len(spoiler) - 1 - r.text
	if limit := r.most.CommandBytes; limit > 0 {
		most = min(most, int(limit-r.literals)-1-r.text)
	}
	in = in[:max(0, min(len(in), most))]
	n := 0
	for n < len(in) && in[n] != '\n' && in[n] != '\r' && in[n] != '"' && in[n] != '{' {
		n++
	}
	r.arguments += int32(n)
	r.text += n
	return n
}

// mostText is how many bytes of a command the server may get, without literals.
func (r *requests) mostText() int {
	if r.loggedIn {
		return maxText
	}
	return maxLoginText
}

// command takes one byte of a command, and reports whether the unit ends.
func (r *requests) command(out []byte, b byte) (_ []byte, stop bool) {
	if r.cr && b != '\n' {
		r.cr = false
		if out, stop = r.byte(out, substitute); stop {
			r.drop(b)
			return out, true
		}
	}
	if b == '\r' {
		r.cr = true
		return out, false
	}
	return r.byte(out, b)
}

func (r *requests) byte(out []byte, b byte) (_ []byte, stop bool) {
	switch r.state {
	case inTag:
		if b == '\n' && r.conn.dialogue.hidesIdle &&
			strings.EqualFold(string(r.tag[:r.tagLength]), "DONE") {
			// The client did not wait to learn that there is no IDLE. go-imap would close the connection
			// over this line.
			r.conn.dialogue.begin("IDLE", true)
			return r.refuse(append(out, ' '), refusal, b)
		}
		r.takeTag(b)
	case inName, inSubName:
		if isAtomChar(b) && len(r.name)-int(r.uid) < maxName {
			r.name = append(r.name, b)
			return out, false
		}
		if r.state == inName && b == ' ' && isUID(r.name) {
			r.name = append(r.name, b)
			r.uid, r.state = uint8(len(r.name)), inSubName
			return out, false
		}
		if out, stop = r.endName(out, b); stop {
			return out, true
		}
		fallthrough
	default:
		r.scan(b)
		if answer := r.tooMuch(b); answer != "" {
			return r.spoil(out, answer, b)
		}
	}
	if r.cr {
		r.cr = false
		r.text++
		out = append(out, '\r')
	}
	r.text++
	if stop = b == '\n'; stop {
		r.state = afterLine
	}
	return append(out, b), stop
}

func (r *requests) takeTag(b byte) {
	switch {
	case b == ' ':
		r.state = inName
	case int(r.tagLength) < len(r.tag):
		r.tag[r.tagLength] = b
		r.tagLength++
	case r.text >= maxTag, r.text >= maxLoginTag && !r.loggedIn:
		r.overlong = true
	}
}

// endName decides what happens to the command, now that its name is known. B is the byte after it.
func (r *requests) endName(out []byte, b byte) (_ []byte, stop bool) {
	r.state = inArguments
	bare := b == '\n' || b == '\r'
	command, verdict := r.conn.dialogue.begin(string(r.name), bare)
	switch verdict {
	case passes:
	case unknown:
		return r.refuse(out, unknownCommand, b)
	default:
		return r.refuse(out, refusal, b)
	}
	if r.loggedIn {
		r.most = r.conn.limits
	}
	if r.current = command; command == searchCommand {
		r.nesting = newNesting(r.most.SearchDepth)
	}
	r.text += len(r.name)
	return append(out, r.name...), false
}

// scan follows quotes and literals through one byte of the arguments.
func (r *requests) scan(b byte) {
	r.arguments++
	switch {
	case r.escaped:
		r.escaped = false
	case r.quoted:
		r.escaped, r.quoted = b == '\\', b != '"'
	default:
		r.quoted = b == '"'
		if b == '{' {
			r.specAt = r.arguments - 1
		}
		r.spec.feed(b)
	}
}
