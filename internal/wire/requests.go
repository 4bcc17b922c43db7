package wire

// Facts about go-imap's parser. They decide where a command ends after a mistake of the client.
const (
	// maxText is how many bytes of a command go-imap reads, without literals. At the next byte it
	// would give up in the middle of the line, and take the rest for commands.
	maxText = 50*1024 + 1
	// maxBuffered is the longest literal that go-imap takes, except the message of an APPEND. It
	// would ignore the announcement of a longer one, and take its content for the rest of the command.
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

type requestState uint8

const (
	inTag requestState = iota
	inName
	inSubName // of UID
	inArguments
	beforeReply  // nothing has come yet of a line that the server has asked for
	inReply      // such a line: one of an AUTHENTICATE exchange, or the end of IDLE
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
	case answered && (r.state == afterLine || r.state == inReply):
		r.dropRest()
	case answered:
		// The server waits no longer for a reply; or it is behind a literal, and closes the connection
		// if anything follows there.
		r.reset()
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

// inStep reports whether the next byte begins a command if the server gives up waiting for it. A
// reply that comes after all does not look like a command, so the server closes the connection.
func (r *requests) inStep() bool { return r.betweenCommands() || r.state == beforeReply }

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
	if r.message {
		// go-imap does not answer an APPEND with something after the message, and takes no second
		// message.
		r.dropRest()
		return
	}
	size, ok := r.spec.take()
	switch {
	case r.quoted:
		r.state = inArguments
	case ok && r.current == appendCommand && r.specAt != 1: // not the name of the mailbox
		r.message = true
		r.literal, r.state = size, inArguments
	case ok:
		r.literals += size
		r.literal, r.state = size, inArguments
	case (r.current == authenticateCommand || r.current == idleCommand) && challenged:
		r.state = beforeReply
	default:
		r.reset()
	}
}
