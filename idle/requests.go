package idle

import "strings"

// What is known of go-imap's parser; it decides where a command ends after a mistake of the client.
const (
	// maxCommand is how many bytes of a command, literals apart, it reads. At the next one it gives
	// up, in the middle of the line.
	maxCommand = 50*1024 + 1
	// maxBuffered is how long a literal may be that is not the message of an APPEND. It overlooks a
	// longer one, and reads on.
	maxBuffered = 4096
)

// maxName is longer than any command name that matters.
const maxName = 16

// refusal replaces the name of a command that must not reach the server. NOOP is harmless in every
// state, and with an argument it is a syntax error: BAD, in order with the other answers, and the
// client stays connected, which before login is not so after an unknown command.
const refusal = `NOOP "refused by imapgate"`

// substitute stands for a CR without LF, which nothing but a literal may contain: go-imap ends some
// lines there and others not.
const substitute = 0x1a

type requestState int

const (
	inTag requestState = iota
	inName
	inArguments
	inChallenge  // a line of an AUTHENTICATE exchange
	afterLine    // what follows depends on what the server says
	afterLiteral // the line goes on, unless the server says otherwise
)

// requests passes on what the client sends, in units that end where the server may change its mind
// about what comes next: after each line and after each literal. The rest is decided when it reads
// again.
type requests struct {
	dialogue *dialogue

	state     requestState
	size      int    // bytes of this command so far, literals apart
	tag       []byte // the first bytes of it
	name      []byte // held back
	cr        bool   // a CR is held back
	arguments int    // bytes after the name
	quoted    bool
	escaped   bool
	spec      announcement
	specAt    int // which byte of the arguments its brace was
	message   bool
	literal   int64 // bytes left of it
}

// resume is called when the server wants more and has had all there was.
func (r *requests) resume() {
	answered, challenged := r.dialogue.next()
	switch {
	case answered:
		r.reset() // in the middle of a line, too: then it has given up there
	case r.message && r.literal == 0 && r.size > maxCommand: // it has given up there, and said nothing
		r.reset()
	case r.state == afterLiteral:
		r.state = inArguments
	case r.state == afterLine:
		r.endLine(challenged)
	}
}

func (r *requests) reset() {
	*r = requests{dialogue: r.dialogue, cr: r.cr, tag: r.tag[:0], name: r.name[:0]}
}

// endLine finds out what follows a line that the server has not answered.
func (r *requests) endLine(challenged bool) {
	command := r.dialogue.current()
	size, ok := r.spec.take()
	switch {
	case r.message: // go-imap does not answer an APPEND with something behind the message, and takes no second one
		r.reset()
	case r.quoted:
		r.state = inArguments
	case ok && command == appendCommand && r.specAt != 1: // not the name of the mailbox
		r.message = true
		r.literal, r.state = size, inArguments
	case ok && size <= maxBuffered:
		r.literal, r.state = size, inArguments
	case ok:
		r.state = inArguments
	case command == authenticateCommand && challenged:
		r.state = inChallenge
	default:
		r.reset()
	}
}

// take appends what the server may have of in to out, and returns how much of in that was. It stops
// at the end of a unit.
func (r *requests) take(out, in []byte) ([]byte, int) {
	if r.literal > 0 {
		n := int(min(r.literal, int64(len(in))))
		r.skip(int64(n))
		return append(out, in[:n]...), n
	}
	for i, b := range in {
		before := len(out)
		if r.state == inChallenge {
			out = append(out, b)
		} else {
			out = r.command(out, b)
		}
		r.size += len(out) - before
		if b == '\n' {
			r.state = afterLine
		}
		if b == '\n' || r.size >= maxCommand && len(out) > 0 {
			return out, i + 1
		}
	}
	return out, len(in)
}

// skip notes that n bytes of the literal were passed on.
func (r *requests) skip(n int64) {
	if r.literal -= n; r.literal == 0 {
		r.state = afterLiteral
	}
}

// command takes one byte of a command.
func (r *requests) command(out []byte, b byte) []byte {
	if r.cr && b != '\n' {
		r.cr = false
		out = r.byte(out, substitute)
	}
	if b == '\r' {
		r.cr = true
		return out
	}
	return r.byte(out, b)
}

func (r *requests) byte(out []byte, b byte) []byte {
	switch r.state {
	case inTag:
		switch {
		case b == ' ':
			r.state = inName
		case b == '\n' && strings.EqualFold(string(r.tag), "DONE"):
			// The client did not wait to be told that there is no IDLE. go-imap would end the
			// connection over this line.
			r.dialogue.begin("IDLE")
			out = append(append(out, ' '), refusal...)
		case len(r.tag) <= len("DONE"):
			r.tag = append(r.tag, b)
		}
	case inName:
		if isAtomChar(b) && len(r.name) < maxName {
			r.name = append(r.name, b)
			return out
		}
		out = r.endName(out)
		r.argument(b)
	default:
		r.argument(b)
	}
	if r.cr {
		r.cr = false
		out = append(out, '\r')
	}
	return append(out, b)
}

func (r *requests) endName(out []byte) []byte {
	r.state = inArguments
	if r.dialogue.begin(string(r.name)) {
		return append(out, refusal...)
	}
	return append(out, r.name...)
}

func (r *requests) argument(b byte) {
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

// isAtomChar tells what go-imap takes for a byte of a command name.
func isAtomChar(b byte) bool {
	return b > ' ' && b != 0x7f && (b < 0x80 || b > 0x9f) && strings.IndexByte(`(){%*"\]`, b) < 0
}
