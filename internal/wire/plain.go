package wire

import (
	"bytes"
	"strings"
)

// Nearly every command is one line in which nothing needs a closer look. Such a line is taken at
// once here, and all others byte by byte in take, which must come to the same.

// maxPlainTag is longer than the tags of ordinary clients.
const maxPlainTag = 64

// plain returns how many bytes at the beginning of in go to the server as they are: a line that is
// all here, or those of a literal. It returns 0 if that is for take to find out.
func (r *requests) plain(in []byte) int {
	if r.passesLiteral() {
		n := min(int64(len(in)), r.literal)
		if r.literal -= n; r.literal == 0 {
			r.state = afterLiteral
		}
		return int(n)
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

// isPlain tells whether the line ends in CRLF, has no other CR, and has its quotes in pairs with
// nothing that matters in the same line.
func isPlain(line []byte) bool {
	if len(line) < 2 || bytes.IndexByte(line, '\r') != len(line)-2 {
		return false
	}
	return bytes.IndexByte(line, '"') < 0 ||
		bytes.Count(line, quote)%2 == 0 && !bytes.ContainsAny(line, `\{`)
}

var quote = []byte{'"'}

// plainCommand takes a line that is the beginning of a command.
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
		return 0 // take asks again, and is told the same
	}
	if r.loggedIn {
		r.most = r.conn.limits
	}
	if command != searchCommand {
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

// endOfAtom returns where the atom ends that begins at start. What ends a line is in no atom.
func endOfAtom(line []byte, start int) int {
	for isAtomChar(line[start]) {
		start++
	}
	return start
}

// isUID tells what go-imap takes for UID.
func isUID(name []byte) bool { return strings.ToUpper(string(name)) == "UID" }

// plainArguments takes a line that ends in these arguments, if it is not too much.
func (r *requests) plainArguments(line, arguments []byte) int {
	text := r.text + len(line)
	if text+len("\r")+len(spoiler) >= maxText {
		return 0
	}
	r.spec.skim(arguments)
	r.specAt = r.arguments + int32(bytes.LastIndexByte(arguments, '{'))
	if most := r.most.CommandBytes; most > 0 && r.size(text) > most {
		r.spec = announcement{}
		return 0
	}
	r.text, r.state = text, afterLine
	r.arguments += int32(len(arguments) - len("\r"))
	return len(line)
}

// size returns how large the command is that has text and is at the end of a line, with the literal
// that is announced there.
func (r *requests) size(text int) int64 {
	size := int64(text) + r.literals
	if r.spec.state == literalComplete && !r.announcesMessage() && r.spec.size <= maxBuffered {
		size += r.spec.size
	}
	return size
}

// announcesMessage tells whether the literal that is announced is the message of an APPEND.
func (r *requests) announcesMessage() bool {
	return r.specAt != 1 && r.conn.dialogue.current() == appendCommand
}
