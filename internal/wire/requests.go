package wire

import "strings"

// What is known of go-imap's parser; it decides where a command ends after a mistake of the client.
const (
	// maxText is how many bytes of a command, literals apart, it reads. At the next one it would
	// give up in the middle of the line, and take the rest for commands.
	maxText = 50*1024 + 1
	// maxBuffered is how long a literal may be that is not the message of an APPEND. It overlooks a
	// longer one, and reads on.
	maxBuffered = 4096
)

const (
	maxName = 16           // longer than any command name that matters
	maxTag  = maxText - 64 // leaves room for what is sent instead of a command
)

// substitute stands for a CR without LF, which nothing but a literal may contain: go-imap ends some
// lines there and others not.
const substitute = 0x1a

type requestState uint8

const (
	inTag requestState = iota
	inName
	inSubName // of UID
	inArguments
	inChallenge  // a line of an AUTHENTICATE exchange, or the end of IDLE
	afterLine    // what follows depends on what the server says
	afterLiteral // the line goes on, unless the server says otherwise
	inDropped    // the server has answered already, and does not get the rest
)

// requests passes on what the client sends, in units that end where the server may change its mind
// about what comes next: after each line and after each literal. The rest is decided when it reads
// again.
type requests struct {
	conn *conn

	state     requestState
	tagLength uint8   // of the tag, as much as there is room for
	tag       [5]byte // its first bytes
	uid       uint8   // how much of the name is "UID ", if that is what it begins with
	cr        bool    // a CR is held back
	quoted    bool
	escaped   bool
	message   bool  // the literal is that of an APPEND
	swallows  bool  // what is dropped has literals
	overlong  bool  // the tag is
	loggedIn  bool  // when the command began
	arguments int32 // bytes after the name
	specAt    int32 // which byte of the arguments the brace of spec was

	name     []byte // held back
	text     int    // bytes of this command so far, literals apart
	literals int64  // bytes of its literals, the message apart
	literal  int64  // bytes left of the one that comes
	spec     announcement
	most     Limits
	nesting  *nesting // of a SEARCH
}

// resume is called when the server wants more and has had all there was. It tells whether somebody
// is logged in.
func (r *requests) resume() (loggedIn bool) {
	answered, challenged, loggedIn := r.conn.dialogue.next()
	switch {
	case r.state == inDropped:
	case answered:
		r.reset() // in the middle of a line, too: then it has given up there
	case r.state == afterLiteral:
		r.state = inArguments
	case r.state == afterLine:
		r.endLine(challenged)
	}
	return loggedIn
}

func (r *requests) reset() {
	*r = requests{conn: r.conn, loggedIn: r.loggedIn, cr: r.cr, name: r.name[:0]}
}

// betweenCommands tells whether nothing of a command has come yet.
func (r *requests) betweenCommands() bool { return r.state == inTag && r.text == 0 }

// mayEnd tells whether a server that waits for more can do without it: it works on nothing, unless
// it takes a message.
func (r *requests) mayEnd() bool { return !r.message }

// passesLiteral tells whether a literal comes that goes to the server.
func (r *requests) passesLiteral() bool { return r.literal > 0 && r.state != inDropped }

// endLine finds out what follows a line that the server has not answered.
func (r *requests) endLine(challenged bool) {
	command := r.conn.dialogue.current()
	size, ok := r.spec.take()
	switch {
	case r.message:
		// go-imap does not answer an APPEND with something behind the message, and takes no second
		// one.
		r.reset()
	case r.quoted:
		r.state = inArguments
	case ok && command == appendCommand && r.specAt != 1: // not the name of the mailbox
		r.message = true
		r.literal, r.state = size, inArguments
	case ok && size <= maxBuffered:
		r.literals += size
		r.literal, r.state = size, inArguments
	case ok:
		r.state = inArguments
	case (command == authenticateCommand || command == idleCommand) && challenged:
		r.state = inChallenge
	default:
		r.reset()
	}
}

// take appends what the server may have of in to out, and returns how much of in that was. It stops
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
		case inChallenge:
			out = append(out, b)
			stop = b == '\n'
			if stop {
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

// ordinary returns how much of in is of arguments, and means nothing byte by byte.
func (r *requests) ordinary(in []byte) int {
	if r.state != inArguments || r.cr || r.quoted || r.spec.state != noLiteral || r.nesting != nil {
		return 0
	}
	most := maxText - len("\r") - len(spoiler) - 1 - r.text
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

// command takes one byte of a command, and tells whether the unit ends.
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
			// The client did not wait to be told that there is no IDLE. go-imap would end the
			// connection over this line.
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
	case r.text >= maxTag:
		r.overlong = true
	}
}

// endName decides what becomes of the command, now that its name is known. B comes after it.
func (r *requests) endName(out []byte, b byte) (_ []byte, refused bool) {
	r.state = inArguments
	bare := b == '\n' || b == '\r'
	command, verdict := r.conn.dialogue.begin(string(r.name), bare)
	switch verdict {
	case passes:
	case unknown:
		return r.refuse(out, unknownCommand, b)
	case refusedCommand:
		r.swallows = true
		return r.refuse(out, refusal, b)
	default:
		return r.refuse(out, refusal, b)
	}
	if r.loggedIn {
		r.most = r.conn.limits
	}
	if command == searchCommand {
		r.nesting = newNesting(r.most.SearchDepth)
	}
	r.text += len(r.name)
	return append(out, r.name...), false
}

// scan looks at one byte of the arguments.
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

// isAtomChar tells what go-imap takes for a byte of a command name.
func isAtomChar(b byte) bool { return atomChars[b] }

var atomChars = func() (is [256]bool) {
	for i := range is {
		b := byte(i)
		is[i] = b > ' ' && b != 0x7f && (b < 0x80 || b > 0x9f) && strings.IndexByte(`(){%*"\]`, b) < 0
	}
	return is
}()
