package wire

import "bytes"

// Nearly every command is one line without anything special in it. Such a line is taken whole here.
// All others are taken byte by byte in take, and the result must be the same.

// maxPlainTag is longer than the tags of ordinary clients.
const maxPlainTag = 64

// plain returns how many bytes at the beginning of in go to the server unchanged: a whole line, or
// bytes of a literal. It returns 0 if take must decide.
func (r *requests) plain(in []byte) int {
	if r.passesLiteral() {
		n := int(min(int64(len(in)), r.literal))
		if r.literal -= int64(n); r.literal == 0 {
			r.state = afterLiteral
			if end := in[n:min(n+2, len(in))]; r.message && string(end) == "\r\n" {
				// go-imap has begun to read the message, and then reads on to the end of the line.
				n += r.plainArguments(end, end)
			}
		}
		return n
	}
	line := in[:bytes.IndexByte(in, '\n')+1]
	if r.cr || r.quoted || r.nesting != nil || r.spec.state != noLiteral || !isPlain(line) {
		return 0
	}
	switch {
	case r.state == inArguments:
		return r.plainArguments(line, line)
	case r.betweenCommands():
		return r.plainCommand(line)
	default:
		return 0
	}
}

// isPlain reports whether the line ends in CRLF, has no other CR, and has its quotes in pairs. If
// it has quotes, it must have no backslash and no brace.
func isPlain(line []byte) bool {
	if len(line) < 2 || bytes.IndexByte(line, '\r') != len(line)-2 {
		return false
	}
	return bytes.IndexByte(line, '"') < 0 ||
		bytes.Count(line, quote)%2 == 0 && !bytes.ContainsAny(line, `\{`)
}

var quote = []byte{'"'}

// plainCommand takes a line that begins a command.
func (r *requests) plainCommand(line []byte) int {
	start := bytes.IndexByte(line[:min(len(line), maxPlainTag)], ' ') + 1
	if start == 0 {
		return 0
	}
	end := endOfAtom(line, start)
	if line[end] == ' ' && isUID(line[start:end]) {
		end = endOfAtom(line, end+1)
	}
	if b := line[end]; b != ' ' && b != '\r' || end-start > maxName {
		return 0
	}
	command, verdict := r.conn.dialogue.begin(string(line[start:end]), line[end] == '\r')
	if verdict != passes {
		return 0 // take calls begin again, with the same result
	}
	if r.loggedIn {
		r.most = r.conn.limits
	}
	if r.current = command; command != searchCommand {
		return r.plainArguments(line, line[end:])
	}
	nesting := newNesting(r.most.SearchDepth)
	for _, b := range line[end:] {
		if b != '\r' && nesting.feed(b) != withinLimits {
			return 0
		}
	}
	n := r.plainArguments(line, line[end:])
	if n > 0 {
		r.nesting = nesting
	}
	return n
}

// plainArguments takes a line that ends in these arguments, unless it exceeds a limit.
func (r *requests) plainArguments(line, arguments []byte) int {
	text := r.text + len(line)
	if text+len("\r")+len(spoiler) >= r.mostText() {
		return 0
	}
	r.spec.skim(arguments)
	r.specAt = r.arguments + int32(bytes.LastIndexByte(arguments, '{'))
	if most := r.most.CommandBytes; r.literalTooLong() || most > 0 && r.size(text) > most {
		r.spec = announcement{}
		return 0
	}
	r.text, r.state = text, afterLine
	r.arguments += int32(len(arguments) - len("\r"))
	return len(line)
}

// size returns the size of a command that has this much text at the end of a line, including the
// literal that the line announces.
func (r *requests) size(text int) int64 {
	size := int64(text) + r.literals
	if r.spec.state == literalComplete && !r.announcesMessage() {
		size += r.spec.size
	}
	return size
}

// announcesMessage reports whether the announced literal is the message of an APPEND.
func (r *requests) announcesMessage() bool {
	return r.specAt != 1 && r.current == appendCommand
}
