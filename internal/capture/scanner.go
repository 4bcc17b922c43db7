package capture

import (
	"bytes"
	"errors"
	"strconv"
)

var errMalformed = errors.New("capture: malformed response")

// scanner reads the text of a response from its beginning. After its first failure it reads
// nothing.
type scanner struct {
	rest []byte
	err  error
}

func (s *scanner) fail() {
	s.rest, s.err = nil, errMalformed
}

// accept skips text if it is next.
func (s *scanner) accept(text string) bool {
	if len(s.rest) < len(text) || string(s.rest[:len(text)]) != text {
		return false
	}
	s.rest = s.rest[len(text):]
	return true
}

func (s *scanner) expect(text string) {
	if !s.accept(text) {
		s.fail()
	}
}

// atom reads up to the next space or parenthesis, or to the end. It returns a part of the text, not
// a copy.
func (s *scanner) atom() []byte {
	end := bytes.IndexAny(s.rest, " ()")
	if end < 0 {
		end = len(s.rest)
	}
	if end == 0 {
		s.fail()
		return nil
	}
	atom := s.rest[:end]
	s.rest = s.rest[end:]
	return atom
}

func (s *scanner) number() int64 {
	n, err := strconv.ParseInt(string(s.atom()), 10, 64)
	if err != nil {
		s.fail()
	}
	return n
}

func (s *scanner) uint32() uint32 {
	n := s.number()
	if n < 0 || n > 1<<32-1 {
		s.fail()
	}
	return uint32(n)
}

// astring reads a quoted string or an atom.
func (s *scanner) astring() string {
	if !s.accept(`"`) {
		return string(s.atom())
	}
	if end := bytes.IndexByte(s.rest, '"'); end >= 0 && bytes.IndexByte(s.rest[:end], '\\') < 0 {
		text := string(s.rest[:end])
		s.rest = s.rest[end+1:]
		return text
	}
	var text []byte
	for i := 0; i < len(s.rest); i++ {
		switch b := s.rest[i]; {
		case b == '"':
			s.rest = s.rest[i+1:]
			return string(text)
		case b == '\\' && i+1 < len(s.rest):
			i++
			text = append(text, s.rest[i])
		default:
			text = append(text, b)
		}
	}
	s.fail()
	return ""
}

// list calls item for each item of a parenthesized list.
func (s *scanner) list(item func()) {
	s.expect("(")
	if s.accept(")") {
		return
	}
	for {
		item()
		if s.err != nil || s.accept(")") {
			return
		}
		s.expect(" ")
	}
}

// skip reads a value of any kind, up to the next space that is not in parentheses or in a string.
func (s *scanner) skip() {
	for depth := 0; s.err == nil; {
		switch {
		case s.accept("("):
			depth++
		case depth > 0 && s.accept(")"):
			depth--
		case depth > 0 && s.accept(" "):
			continue
		case len(s.rest) > 0 && s.rest[0] == '"':
			s.astring()
		default:
			s.atom()
		}
		if depth == 0 {
			return
		}
	}
}
