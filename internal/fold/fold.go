// Package fold makes one string of all those that differ only in case, for whoever counts or compares by them.
package fold

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Username returns the same string for all names that differ only in case or in space around them.
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

// foldRune returns one rune for all those that are equal under Unicode simple case folding: of "K", "k" and the Kelvin sign, "k".
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return unicode.ToLower(least)
}
