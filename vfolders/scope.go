package vfolders

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The backend alone knows what its hierarchy delimiter is, and may have several. In a pattern that
// begins with it, it stands for nothing ([imapserver.MatchList]). So the functions below leave open
// whether the first character of a pattern is it.

// startingWith returns the patterns for the names that begin so, whatever the delimiter. Some of
// what matches them may begin with something else.
func startingWith(start string) []string {
	start = cut(start)
	_, size := utf8.DecodeRuneInString(start)
	if start == "" {
		return []string{"*"}
	}
	return []string{start + "*", start[:size] + start + "*"}
}

// exactly returns the patterns for a name without wildcards, whatever the delimiter.
func exactly(name string) []string {
	_, size := utf8.DecodeRuneInString(name)
	return []string{name, name[:size] + name}
}

// cut returns what is before the first wildcard.
func cut(pattern string) string {
	if wildcard := strings.IndexAny(pattern, "*%"); wildcard >= 0 {
		return pattern[:wildcard]
	}
	return pattern
}

// scope returns the patterns for a LIST without reference that shows all that is needed to know the
// virtual folders that match the reference and the patterns of a client: those and what is below
// them. It returns none if there can be no such folders.
func (o *Options) scope(ref string, patterns []string) []string {
	if len(patterns) == 0 {
		return nil
	}
	var scope []string
	if ref == "" {
		scope = []string{commonStart(patterns) + "*"}
	} else {
		scope = startingWith(ref)
		// A pattern that begins with the delimiter drops the reference.
		withoutRef := slices.DeleteFunc(slices.Clone(patterns), func(pattern string) bool {
			return cut(pattern) == ""
		})
		if len(withoutRef) > 0 {
			scope = append(scope, commonStart(withoutRef)+"*")
		}
	}
	if len(o.Prefixes) > 0 {
		scope = o.within(scope)
	}
	slices.Sort(scope)
	scope = slices.Compact(scope)
	if slices.Contains(scope, "*") {
		return []string{"*"}
	}
	return scope
}

// within narrows the scope to the prefixes.
func (o *Options) within(scope []string) []string {
	var narrow []string
	for _, pattern := range scope {
		start := cut(pattern)
		_, size := utf8.DecodeRuneInString(start)
		for _, prefix := range o.Prefixes {
			// The delimiter at its end, if it has one, would leave out the mailbox without it.
			prefix = strings.TrimRightFunc(prefix, isNotWord)
			switch afterDelim := start[size:]; {
			case strings.HasPrefix(start, prefix), strings.HasPrefix(afterDelim, prefix):
				narrow = append(narrow, pattern)
			case strings.HasPrefix(prefix, start), strings.HasPrefix(prefix, afterDelim):
				narrow = append(narrow, startingWith(prefix)...)
			}
		}
	}
	return narrow
}

func isNotWord(r rune) bool { return r != '#' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// commonStart returns what all patterns begin with, up to the first wildcard.
func commonStart(patterns []string) string {
	common := cut(patterns[0])
	for _, pattern := range patterns[1:] {
		common = common[:commonLen(common, pattern)]
	}
	return strings.ToValidUTF8(cut(common), "") // it may end within a character
}

// commonLen returns how many bytes both begin with.
func commonLen(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
