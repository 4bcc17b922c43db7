package wire

import "strings"

// Facts about go-imap's parser. They decide where a command ends after a mistake of the client.
const (
	// maxText is how many bytes of a command go-imap reads, without literals. At the next byte it
	// would give up in the middle of the line, and take the rest for commands.
	maxText = 50*1024 + 1
	// maxBuffered is the longest literal that go-imap takes, except the message of an APPEND. It
	// ignores a longer one, and reads on.
	maxBuffered = 4096
)

const (
	maxName = 16           // longer than any command name that matters
	maxTag  = maxText - 64 // leaves room for what is sent instead of a command
	// maxLoginTag is the same before login. go-imap holds a long tag in memory several times.
	maxLoginTag = 1 << 10
	// maxLoginText is the most that the server gets before login, instead of maxText. There is room
	// for any token or ticket.
	maxLoginText = 16 << 10
)

// substitute replaces a CR without LF. Only a literal may contain such a CR, and go-imap ends some
// lines there, but not others.
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
	inDropped    // the server does not get the rest of the command
)

// requests passes on what the client sends, in units. A unit ends where the server may change how
// it reads on: after each line and after each literal. What follows is decided when the server
// reads again.
type requests struct {
	conn *conn

	state     requestState
	tagLength uint8   // of the tag, at most the length of tag
	tag       [5]byte // its first bytes
	uid       uint8   // length of "UID ", if the name begins with it
	cr        bool    // a CR is held back
	quoted    bool
	escaped   bool
	message   bool    // the literal is the message of an APPEND
	swallows  bool    // the literals of a dropped command are dropped too
	overlong  bool    // the tag is too long
	loggedIn  bool    // somebody was logged in when the command began
	current   command // once its name is known
	arguments int32   // bytes after the name
	specAt    int32   // position of the brace of spec in the arguments

	name     []byte // held back
	text     int    // bytes of this command so far, without literals
	literals int64  // bytes of its literals, without the message
	literal  int64  // bytes left of the current literal
	spec     announcement
	most     Limits
	nesting  *nesting // of a SEARCH
}

// resume is called when the server has read all that there was, and wants more. It reports whether
// the client is logged in.
func (r *requests) resume() (loggedIn bool) {
	answered, challenged, loggedIn := r.conn.dialogue.next()
	switch {
	case r.state == inDropped:
	case answered:
		r.reset() // also in the middle of a line, if the server gave up there
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

// betweenCommands reports whether nothing of a command has come yet.
func (r *requests) betweenCommands() bool { return r.state == inTag && r.text == 0 }

// mayEnd reports whether the connection may end while the server waits for more. It may, because
// the server works on nothing, unless it takes a message.
func (r *requests) mayEnd() bool { return !r.message }

// awaitsMessage reports whether the line that the server got last announced the message of an
// APPEND.
func (r *requests) awaitsMessage() bool {
	return r.state == afterLine && r.spec.state == literalComplete && r.announcesMessage()
}

// passesLiteral reports whether the next bytes are of a literal that goes to the server.
func (r *requests) passesLiteral() bool { return r.literal > 0 && r.state != inDropped }

// endLine decides what follows a line that the server has not answered.
func (r *requests) endLine(challenged bool) {
	size, ok := r.spec.take()
	switch {
	case r.message:
		// go-imap does not answer an APPEND with something after the message, and takes no second
		// message.
		r.reset()
	case r.quoted:
		r.state = inArguments
	case ok && r.current == appendCommand && r.specAt != 1: // not the name of the mailbox
		r.message = true
		r.literal, r.state = size, inArguments
	case ok && size <= maxBuffered:
		r.literals += size
		r.literal, r.state = size, inArguments
	case ok:
		r.state = inArguments
	case (r.current == authenticateCommand || r.current == idleCommand) && challenged:
		r.state = inChallenge
	default:
		r.reset()
	}
}

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
