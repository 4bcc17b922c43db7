package vfolders

import (
	"strings"
	"unicode/utf8"
)

// matcher matches names against the reference and the patterns of a LIST.
type matcher struct {
	ref      string
	patterns []string
	compiled map[rune][]*pattern // by delimiter
}

func newMatcher(ref string, patterns []string) *matcher {
	return &matcher{ref: ref, patterns: patterns, compiled: make(map[rune][]*pattern)}
}

func (m *matcher) match(name string, delim rune) bool {
	patterns, ok := m.compiled[delim]
	if !ok {
		for _, text := range m.patterns {
			patterns = append(patterns, newPattern(m.ref, text, delim))
		}
		m.compiled[delim] = patterns
	}
	for _, p := range patterns {
		if p.match(name) {
			return true
		}
	}
	return false
}

// pattern is one LIST pattern, as a machine that reads a name once and never goes back. Its states
// are how many letters of the pattern, which are its characters other than wildcards, it may have
// found so far. They are the bits of a set, so that one character of the name takes one step for
// every 64 letters of the pattern, whatever the wildcards.
type pattern struct {
	ref           string // that names begin with
	text          string
	letters       int
	delim         rune
	where         map[rune][]uint64 // bit i: letter i is this one
	star, percent []uint64          // bit i: there is such a wildcard before letter i
}

func newPattern(ref, text string, delim rune) *pattern {
	if delim != 0 {
		if rest, ok := strings.CutPrefix(text, string(delim)); ok {
			ref, text = "", rest
		} else if ref != "" && !strings.HasSuffix(ref, string(delim)) {
			ref += string(delim)
		}
	}
	letters := utf8.RuneCountInString(text) - strings.Count(text, "*") - strings.Count(text, "%")
	return &pattern{ref: ref, text: text, letters: letters, delim: delim}
}

// compile waits for a name that is long enough, so that a client cannot make the server work for a
// huge pattern that matches nothing.
func (p *pattern) compile() {
	words := p.letters/64 + 1
	p.where = make(map[rune][]uint64)
	p.star, p.percent = make([]uint64, words), make([]uint64, words)
	letter := 0
	for _, r := range p.text {
		word, bit := letter/64, uint64(1)<<(letter%64)
		switch r {
		case '*':
			p.star[word] |= bit
		case '%':
			p.percent[word] |= bit
		default:
			if p.where[r] == nil {
				p.where[r] = make([]uint64, words)
			}
			p.where[r][word] |= bit
			letter++
		}
	}
}

func (p *pattern) match(name string) bool {
	name, ok := strings.CutPrefix(name, p.ref)
	if !ok || utf8.RuneCountInString(name) < p.letters {
		return false
	}
	if p.where == nil {
		p.compile()
	}
	states := make([]uint64, len(p.star))
	states[0] = 1
	for _, r := range name {
		found := p.where[r]
		carry := uint64(0)
		for i, at := range states {
			stay, next := p.star[i], uint64(0)
			if r != p.delim {
				stay |= p.percent[i]
			}
			if found != nil {
				next = at & found[i]
			}
			states[i] = at&stay | next<<1 | carry
			carry = next >> 63
		}
	}
	return states[p.letters/64]>>(p.letters%64)&1 == 1
}
