// Package fold makes one string of all those that differ only in how they are written, for whoever
// counts or compares by them.
package fold

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Username returns the same string for all names that differ only in case, in the width of ASCII
// characters or in space around them.
func Username(name string) string {
	name = strings.TrimSpace(name)
	if !utf8.ValidString(name) {
		return ASCII(name)
	}
	// The folded string never shares memory with name, which may be a piece of a large buffer.
	return strings.Clone(strings.Map(foldRune, name))
}

// ASCII is for strings in some other encoding, whose bytes beyond ASCII stay as they are.
func ASCII(s string) string {
	folded := []byte(s)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}

// foldRune returns one rune for all those that are equal under Unicode simple case folding: of "K",
// "k" and the Kelvin sign, "k", and the same for a full-width one (RFC 8265 section 3.3.2).
func foldRune(r rune) rune {
	if '\uff01' <= r && r <= '\uff5e' {
		r -= '\uff01' - '!'
	}
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return unicode.ToLower(least)
}
