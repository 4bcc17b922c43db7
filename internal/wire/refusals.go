package wire

const (
	// refusal replaces a command that must not reach the server. NOOP is harmless in every state. With
	// an argument it is a syntax error: the server answers BAD, in order with its other answers, and
	// the client stays connected.
	refusal = "NOOP \"refused by imapgate\"\r\n"
	// unknownCommand replaces a command that the server does not know, and its arguments.
	unknownCommand = "X-UNKNOWN\r\n"
	// spoiler ends a command by a syntax error, wherever it was cut. Inside a string, even after a
	// backslash, it ends the string and begins a second one at once. Where a string may begin, it is
	// an empty one with another directly after it.
	spoiler = "\"\"\"\r\n"
)

// drop takes one byte of a command that the server does not get.
func (r *requests) drop(b byte) {
	r.scan(b)
	if b == '\n' {
		r.endDropped()
	}
}

// endDropped ends a line that the server does not get. A client that waits for a continuation
// request gets the answer instead, and sends no literal.
func (r *requests) endDropped() {
	nonSync := r.spec.nonSync
	if size, ok := r.spec.take(); ok && nonSync {
		r.literal = size
		return
	}
	r.reset()
}

// dropRest is called when the server has taken a line for the end of a command. If the line has
// announced a literal for which the client does not wait, this literal comes all the same, and then
// the rest of the command. The server would take both for commands, and they may be the words of
// somebody else, such as a message. Of a line of an exchange the server may have taken only a part.
func (r *requests) dropRest() {
	wholeLine := r.state == afterLine
	r.state, r.message = inDropped, false
	if wholeLine {
		r.endDropped()
	}
}

// refuse sends the server something else instead of the command. B is the first byte that the
// server does not get.
func (r *requests) refuse(out []byte, instead string, b byte) ([]byte, bool) {
	r.cr = false
	r.state = inDropped
	r.drop(b)
	return append(out, instead...), true
}

// spoil ends a command of which the server already has a part, and makes the client read the
// answer. B is scanned already, and the server does not get it.
func (r *requests) spoil(out []byte, answer string, b byte) ([]byte, bool) {
	if !r.message { // after a message go-imap would not answer
		r.conn.dialogue.replace(answer)
	}
	r.cr = false
	r.state, r.message = inDropped, false
	if b == '\n' {
		r.endDropped()
	}
	return append(out, spoiler...), true
}

// tooMuch returns the answer to a command that exceeds a limit with this byte, or "".
func (r *requests) tooMuch(b byte) string {
	if r.text+len("\r")+len(spoiler) >= r.mostText() || r.literalTooLong() {
		return answerTooLarge
	}
	if r.nesting != nil {
		switch r.nesting.feed(b) {
		case tooDeep:
			if r.conn.guard().refuses(r.conn, SearchDepth, int64(r.most.SearchDepth)) {
				return answerTooDeep
			}
			r.nesting.most = 0
		case tooMany:
			return answerTooMany
		}
	}
	if r.most.CommandBytes == 0 {
		return ""
	}
	if r.size(r.text+1) > r.most.CommandBytes {
		if r.conn.guard().refuses(r.conn, CommandBytes, r.most.CommandBytes) {
			return answerTooLarge
		}
		r.most.CommandBytes = 0 // a dry run is reported once
	}
	return ""
}

// literalTooLong reports whether the line has announced a literal that go-imap would not take.
func (r *requests) literalTooLong() bool {
	return r.spec.state == literalComplete && r.spec.size > maxBuffered && !r.announcesMessage()
}
