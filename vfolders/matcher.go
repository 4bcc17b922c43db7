package vfolders

import (
	"math/bits"
	"slices"
	"strings"
)

// matcher matches the ancestors of names against the reference and the patterns of a LIST.
//
// A pattern is read once for each name, whatever its wildcards are and however many ancestors the
// name has. While it is read, the matcher keeps the set of all positions in the name that can match
// the part of the pattern read so far. The set has a bit for each position, so that a letter or a
// wildcard takes a few instructions for each 64 bytes of the name. When the set is empty, the rest
// of the pattern is not read. All this takes several times less than [imapserver.MatchList] does
// for the name alone.
type matcher struct {
	separator string
	patterns  []pattern

	// What follows is about one name.
	name   string
	where  [256]set // the positions of each byte
	inside set      // the positions where no delimiter begins
	left   set      // the ends of the ancestors that no pattern has matched yet
	at     set      // where the pattern has come to
}

// pattern is one in two parts: start has no wildcard, and rest is empty or begins with one.
type pattern struct{ start, rest string }

// set is a set of positions: bit i of word k stands for 64*k + i.
type set []uint64

func newMatcher(ref string, patterns []string, delim rune) *matcher {
	m := &matcher{patterns: make([]pattern, 0, len(patterns))}
	if delim != 0 {
		m.separator = string(delim)
	}
	withDelim := ref
	if ref != "" && !strings.HasSuffix(ref, m.separator) {
		withDelim += m.separator
	}
	for _, text := range patterns {
		ref := withDelim
		if after, ok := strings.CutPrefix(text, m.separator); ok && delim != 0 {
			ref, text = "", after
		}
		start := cut(text)
		m.patterns = append(m.patterns, pattern{ref + start, text[len(start):]})
	}
	return m
}

// match calls found with each i for which the first ends[i] bytes of the name match. The ends are
// ascending.
func (m *matcher) match(name string, ends []int, found func(i int)) {
	m.begin(name[:ends[len(ends)-1]], ends)
	defer m.forget()
	missing := len(ends)
	for _, p := range m.patterns {
		if missing == 0 {
			return
		}
		if !strings.HasPrefix(m.name, p.start) {
			continue
		}
		low, high := m.follow(len(p.start), p.rest)
		for k := low; k <= high; k++ {
			hits := m.at[k] & m.left[k]
			m.left[k] &^= hits
			for ; hits != 0; hits &= hits - 1 {
				i, _ := slices.BinarySearch(ends, 64*k+bits.TrailingZeros64(hits))
				found(i)
				missing--
			}
		}
	}
}

// begin makes room for the positions of a name, with the one at its end, and enters its bytes.
func (m *matcher) begin(name string, ends []int) {
	m.name = name
	words := len(name)/64 + 1
	if cap(m.at) < words {
		m.where = [256]set{}
		m.inside, m.left, m.at = make(set, words), make(set, words), make(set, words)
	}
	m.inside, m.left, m.at = m.inside[:words], m.left[:words], m.at[:words]
	for i := range len(name) {
		where := &m.where[name[i]]
		if *where == nil {
			*where = make(set, cap(m.at))
		}
		where.add(i)
		if m.separator == "" || !strings.HasPrefix(name[i:], m.separator) {
			m.inside.add(i)
		}
	}
	for _, end := range ends {
		m.left.add(end)
	}
}

// forget clears what begin has entered.
func (m *matcher) forget() {
	for i := range len(m.name) {
		m.where[m.name[i]][i/64] = 0
	}
	clear(m.inside)
	clear(m.left)
}

// follow reads the rest of a pattern from a position. It leaves the positions that match in at, in
// the words from low to high. If low is greater than high, there are none.
func (m *matcher) follow(position int, rest string) (low, high int) {
	low, high = position/64, position/64
	m.at[low] = 1 << (position % 64)
	for i := 0; i < len(rest) && low <= high; {
		switch letter := rest[i]; {
		case letter == '*':
			high = m.star(low)
			i++
		case letter == '%':
			high = m.percent(low, high)
			i++
		case low == high && m.at[low]&(m.at[low]-1) == 0:
			var n int
			low, n = m.text(low, rest[i:])
			high, i = low, i+n
			if n == 0 {
				return 1, 0
			}
		default:
			low, high = m.letter(low, high, m.where[letter])
			i++
		}
	}
	return low, high
}

// star goes on to all later positions.
func (m *matcher) star(low int) (high int) {
	m.at[low] |= -(m.at[low] & -m.at[low]) // from its lowest one upwards
	for k := low + 1; k < len(m.at); k++ {
		m.at[k] = ^uint64(0)
	}
	return len(m.at) - 1
}

// percent goes on to all later positions up to the next delimiter. It adds the positions to those
// without a delimiter, as numbers: the carry runs through a row of ones and makes them zeros, up to
// the zero at its end, which becomes a one.
func (m *matcher) percent(low, high int) int {
	carry := uint64(0)
	for k := low; k <= high || carry != 0; k++ {
		if k > high {
			high, m.at[k] = k, 0
		}
		var sum uint64
		sum, carry = bits.Add64(m.inside[k], m.at[k]&m.inside[k], carry)
		m.at[k] |= sum ^ m.inside[k]
	}
	return high
}

// text compares the letters at the beginning of the pattern with the name, from the only position
// that there is. It returns how many letters these are, or 0 if the name differs.
func (m *matcher) text(word int, pattern string) (newWord, n int) {
	position := 64*word + bits.TrailingZeros64(m.at[word])
	for n < len(pattern) && pattern[n] != '*' && pattern[n] != '%' {
		if position+n == len(m.name) || m.name[position+n] != pattern[n] {
			return 0, 0
		}
		n++
	}
	position += n
	m.at[position/64] = 1 << (position % 64)
	return position / 64, n
}

// letter goes on to the position after a byte.
func (m *matcher) letter(low, high int, where set) (newLow, newHigh int) {
	if where == nil {
		return 1, 0
	}
	newLow, newHigh = high+1, -1
	carry := uint64(0)
	for k := low; k <= high || carry != 0; k++ {
		here := uint64(0)
		if k <= high {
			here = m.at[k] & where[k]
		}
		m.at[k] = here<<1 | carry
		carry = here >> 63
		if m.at[k] != 0 {
			newLow, newHigh = min(newLow, k), k
		}
	}
	return newLow, newHigh
}

func (s set) add(position int) { s[position/64] |= 1 << (position % 64) }
