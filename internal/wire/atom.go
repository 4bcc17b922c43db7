package wire

import "strings"

// isAtomChar reports whether go-imap accepts the byte in a command name.
func isAtomChar(b byte) bool { return atomChars[b] }

var atomChars = func() (is [256]bool) {
	for i := range is {
		b := byte(i)
		is[i] = b > ' ' && b != 0x7f && (b < 0x80 || b > 0x9f) && strings.IndexByte(`(){%*"\]`, b) < 0
	}
	return is
}()

// endOfAtom returns the end of the atom that begins at start. No atom contains the end of a line.
func endOfAtom(line []byte, start int) int {
	for isAtomChar(line[start]) {
		start++
	}
	return start
}

// isUID reports whether go-imap takes the name for UID.
func isUID(name []byte) bool { return strings.ToUpper(string(name)) == "UID" }
