package wire

import "strings"

// go-imap parses a SEARCH by recursion, with 3.3 KB of stack for each open OR, NOT and parenthesis.
// So the guard counts them before go-imap sees them. Clients that look for many addresses write an
// OR in the last argument of an OR, and so on. That is a flat list: go-imap has all these ORs open,
// but they count as one level.

// maxOpen is how many may be open in all. It lets a list of a thousand addresses pass.
const maxOpen = 1100

type nestingState int

const (
	atKey         nestingState = iota // a key or a list begins
	inKey                             // inside a key
	afterKey                          // a key and its arguments are complete
	beforeReturn                      // the list of RETURN begins
	inReturn                          // inside that list
	beforeValue                       // a space comes, and then an argument or a key
	atValue                           // an argument begins
	atAtom                            // an argument without quotes begins
	inAtom                            // inside an argument without quotes
	inQuoted                          // inside a quoted argument
	inEscape                          // after a backslash in it
	inLiteralSpec                     // inside {n}, or what begins like it
	wrong                             // go-imap reads no further
)

type opened byte

const (
	openNot   opened = iota
	openFirst        // the first argument of an OR
	openLast         // the last argument of an OR
	openList
)

// open is an open OR, NOT or parenthesis, and how deep it is.
type open struct {
	kind  opened
	depth int16
}

type excess int

const (
	withinLimits excess = iota
	tooDeep
	tooMany
)

// nesting follows the arguments of a SEARCH exactly as go-imap parses them, mistakes included. It
// is fed all their bytes, except those of literals.
type nesting struct {
	most    int // the depth that is allowed; 0: no limit
	state   nestingState
	words   int // 0 at the beginning, 1 after RETURN, 2 when CHARSET cannot come any more
	word    []byte
	values  int  // arguments of the key that are still to come
	charset bool // the argument is that of CHARSET
	spec    announcement
	open    []open
}

// newNesting returns a nesting. The first byte to feed is the one after the name of the command.
func newNesting(most int) *nesting { return &nesting{most: most, state: beforeValue} }

func (n *nesting) feed(b byte) excess {
	switch n.state {
	case atKey:
		return n.key(b)
	case inKey:
		if isKeyChar(b) {
			if len(n.word) <= maxName {
				n.word = append(n.word, b)
			}
			return withinLimits
		}
		if e := n.endKey(); e != withinLimits {
			return e
		}
		return n.feed(b)
	case afterKey:
		return n.next(b)
	case beforeReturn, inReturn:
		n.returns(b)
	case beforeValue:
		n.state = wrong
		if b == ' ' && n.values > 0 {
			n.state = atValue
		} else if b == ' ' {
			n.state = atKey
		} else if b == '(' && n.values == 0 {
			return n.key(b)
		}
	case atValue, atAtom, inAtom:
		return n.value(b)
	case inQuoted:
		switch b {
		case '"':
			n.endValue()
		case '\\':
			n.state = inEscape
		}
	case inEscape:
		n.state = inQuoted
	case inLiteralSpec:
		return n.literalSpec(b)
	}
	return withinLimits
}

func (n *nesting) key(b byte) excess {
	switch {
	case isKeyChar(b):
		n.state, n.word = inKey, append(n.word[:0], b)
	case b == '(':
		n.words = 2
		return n.push(openList)
	case b == ')' && n.top() == openList && n.justOpened():
		n.pop()
		n.endTerm()
	default:
		n.state = wrong
	}
	return withinLimits
}

// justOpened reports whether nothing has come since the parenthesis.
func (n *nesting) justOpened() bool { return len(n.word) == 0 }

// arity is how many arguments a search key has. Keys that are not listed have none.
var arity = map[string]int{
	"UID": 1, "KEYWORD": 1, "UNKEYWORD": 1, "BCC": 1, "CC": 1, "FROM": 1, "SUBJECT": 1, "TO": 1,
	"HEADER": 2, "SINCE": 1, "BEFORE": 1, "ON": 1, "SENTSINCE": 1, "SENTBEFORE": 1, "SENTON": 1,
	"BODY": 1, "TEXT": 1, "LARGER": 1, "SMALLER": 1,
}

func (n *nesting) endKey() excess {
	word, words := string(n.word), n.words
	n.words = 2
	switch {
	case words == 0 && strings.EqualFold(word, "RETURN"):
		n.words, n.state = 1, beforeReturn
		return withinLimits
	case words < 2 && strings.EqualFold(word, "CHARSET"):
		n.values, n.charset, n.state = 1, true, beforeValue
		return withinLimits
	}
	switch word = strings.ToUpper(word); word {
	case "NOT":
		return n.push(openNot)
	case "OR":
		return n.push(openFirst)
	}
	n.values = arity[word]
	n.state = beforeValue
	if n.values == 0 {
		n.endTerm()
	}
	return withinLimits
}

// push notes that an OR, NOT or parenthesis is open, and that the next term is inside it.
func (n *nesting) push(kind opened) excess {
	depth := int16(1)
	if top := len(n.open) - 1; top >= 0 {
		depth = n.open[top].depth + 1
		if kind == openFirst && n.open[top].kind == openLast {
			depth--
		}
	}
	n.state, n.word = beforeValue, n.word[:0]
	if kind == openList {
		n.state = atKey
	}
	n.open = append(n.open, open{kind, depth})
	switch {
	case n.most > 0 && int(depth) >= n.most:
		return tooDeep
	case len(n.open) > maxOpen:
		return tooMany
	}
	return withinLimits
}

func (n *nesting) top() opened {
	if len(n.open) == 0 {
		return openNot
	}
	return n.open[len(n.open)-1].kind
}

func (n *nesting) pop() { n.open = n.open[:len(n.open)-1] }

// endTerm notes that a term is complete. This completes also the terms whose last argument it is.
func (n *nesting) endTerm() {
	n.state = afterKey
	for len(n.open) > 0 {
		switch last := &n.open[len(n.open)-1]; last.kind {
		case openFirst:
			last.kind = openLast
			n.state = beforeValue // the second argument comes after a space
			return
		case openList:
			return
		default:
			n.pop()
		}
	}
}

// next takes the byte after a term.
func (n *nesting) next(b byte) excess {
	n.state = wrong
	switch {
	case b == ' ':
		n.state, n.word = atKey, append(n.word[:0], b)
	case b == '(':
		return n.key(b)
	case b == ')' && n.top() == openList:
		n.pop()
		n.endTerm()
	}
	return withinLimits
}

func (n *nesting) returns(b byte) {
	switch {
	case n.state == beforeReturn && b == '(':
		n.state = inReturn
	case n.state == beforeReturn && b == ' ':
	case n.state == inReturn && b == ')':
		n.state = beforeValue
	case n.state == inReturn && (b == ' ' || isKeyChar(b)):
	default:
		n.state = wrong
	}
}

func (n *nesting) value(b byte) excess {
	switch first := n.state != inAtom; {
	case n.state == atValue && b == '"':
		n.state = inQuoted
	case n.state == atValue && b == '{':
		n.state, n.spec = inLiteralSpec, announcement{}
		n.spec.feed(b)
	case isValueChar(b):
		n.state = inAtom
	case first:
		n.state = wrong
	default:
		n.endValue()
		return n.feed(b)
	}
	return withinLimits
}

func (n *nesting) endValue() {
	n.values--
	switch {
	case n.values > 0:
		n.state = beforeValue
	case n.charset:
		n.charset, n.state = false, beforeValue
	default:
		n.endTerm()
	}
}

// literalSpec takes a byte of what begins like a literal. If it is not one, or too long, go-imap
// reads what follows as a string without quotes.
func (n *nesting) literalSpec(b byte) excess {
	n.spec.feed(b)
	switch n.spec.state {
	case literalComplete:
		if n.spec.size <= maxBuffered {
			n.endValue()
		} else {
			n.state = atAtom
		}
	case noLiteral:
		n.state = atAtom
		return n.feed(b)
	}
	return withinLimits
}

func isKeyChar(b byte) bool { return b == '*' || isAtomChar(b) }

// isValueChar reports whether the byte may be in a string without quotes, a flag, a date or a set
// of numbers.
func isValueChar(b byte) bool { return isKeyChar(b) || b == ']' || b == '\\' }
