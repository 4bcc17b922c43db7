// Package fold makes strings equal that differ only in how they are written, so that they can be
// counted or compared.
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

// ASCII is for strings of any encoding: bytes that are not ASCII stay as they are.
func ASCII(s string) string {
	folded := []byte(s)
	for i, c := range folded {
		folded[i] = Byte(c)
	}
	return string(folded)
}

// Byte returns the small letter for a capital letter of ASCII, and any other byte as it is.
func Byte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// Word is Byte for each of the eight bytes of a word, at once.
func Word(w uint64) uint64 {
	const each = 0x0101010101010101 // times a byte: that byte, eight times
	low := w &^ (0x80 * each)       // so that no sum below reaches the next byte
	fromA, afterZ := low+(0x80-'A')*each, low+(0x7f-'Z')*each
	capitals := fromA &^ afterZ &^ w & (0x80 * each)
	return w | capitals>>2 // 0x80>>2 is 'a' - 'A'
}

// foldRune returns the same rune for all runes that are equal under Unicode simple case folding:
// "k" for "K", "k" and the Kelvin sign. A full-width rune is its ASCII one (RFC 8265 section
// 3.3.2).
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
