package limits

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// checkTerms refuses a SEARCH with too many terms, or too deep.
func (s *session) checkTerms(criteria *imap.SearchCriteria) *imap.Error {
	settings := s.limiter.settings.Load()
	if settings.MaxSearchTerms == 0 && settings.MaxSearchDepth == 0 || s.limits.Load().exempt {
		return nil
	}
	terms, depth := countTerms(criteria)
	switch {
	case settings.MaxSearchTerms > 0 && terms > settings.MaxSearchTerms && s.refuses(Event{Command: commandSearch, User: s.user}, ErrSearchTerms):
		return ErrSearchTerms
	case settings.MaxSearchDepth > 0 && depth > settings.MaxSearchDepth && s.refuses(Event{Command: commandSearch, User: s.user}, ErrSearchDepth):
		return ErrSearchDepth
	default:
		return nil
	}
}

// List passes the patterns on with runs of wildcards folded into one, which match the same, or
// refuses them.
func (s *session) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	defer s.running(commandList)()
	if max := s.limiter.settings.Load().MaxListWildcards; max > 0 && !s.limits.Load().exempt {
		folded := make([]string, len(patterns))
		for i, pattern := range patterns {
			var wildcards int
			folded[i], wildcards = foldWildcards(pattern)
			if wildcards > max && s.refuses(Event{Command: commandList, User: s.user}, ErrListWildcards) {
				return ErrListWildcards
			}
		}
		patterns = folded
	}
	return s.Session.List(w, ref, patterns, options)
}

// foldWildcards returns the pattern with each run of wildcards made one, * if there is a * in it,
// and how many that leaves.
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

// Append refuses a message that is too large. The server reads and discards it then.
func (s *session) Append(
	mailbox string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	defer s.running(commandAppend)()
	if max := s.limiter.settings.Load().MaxAppendSize; max > 0 && r.Size() > max &&
		!s.limits.Load().exempt &&
		s.refuses(Event{Command: commandAppend, User: s.user}, ErrAppendSize) {
		return nil, ErrAppendSize
	}
	return s.Session.Append(mailbox, r, options)
}
