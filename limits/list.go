package limits

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// List passes the patterns on with runs of wildcards folded into one, which match the same, or
// refuses them.
func (s *session) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	var turn turn
	defer s.endCommand(&turn)
	if most := s.reached(maxListWildcards); most.value > 0 && !s.limits.Load().exempt {
		folded := make([]string, len(patterns))
		for i, pattern := range patterns {
			var wildcards int
			folded[i], wildcards = foldWildcards(pattern)
			event := Event{Command: commandList, User: s.user}
			if int64(wildcards) > most.value && s.refuse(event, most) {
				return ErrListWildcards
			}
		}
		patterns = folded
	}
	if err := s.beginCommand(&turn, commandList); err != nil {
		return err
	}
	return s.Session.List(w, ref, patterns, options)
}

// foldWildcards returns the pattern with each run of wildcards made one, * if there is a * in it, and
// how many that leaves.
func foldWildcards(pattern string) (folded string, wildcards int) {
	out := make([]byte, 0, len(pattern))
	inRun := false
	for i := range len(pattern) {
		c := pattern[i]
		isWildcard := c == '*' || c == '%'
		switch {
		case !isWildcard || !inRun:
			out = append(out, c)
			if isWildcard {
				wildcards++
			}
		case c == '*':
			out[len(out)-1] = '*'
		}
		inRun = isWildcard
	}
	return string(out), wildcards
}
