package limits

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/capture"
)

// List refuses patterns that are too expensive, and passes others on with each run of wildcards
// folded into one, which matches the same names.
func (s *session) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	var turn turn
	defer s.endCommand(&turn)
	patterns, levels, err := s.checkPatterns(patterns)
	if err != nil {
		return err
	}
	if err := s.beginCommand(&turn, commandList); err != nil {
		return err
	}
	if levels {
		if err := s.checkLevels(patterns); err != nil {
			return err
		}
	}
	return s.Session.List(w, ref, patterns, options)
}

// checkPatterns returns the patterns to pass on, and whether checkLevels must look at them again;
// or the answer to a LIST that is refused.
func (s *session) checkPatterns(patterns []string) (folded []string, levels bool, err error) {
	settings := s.limiter.settings.Load()
	if s.limits.Load().exempt {
		return patterns, false, nil
	}
	event := Event{Command: commandList, User: s.user}
	most := settings.MaxListPatterns
	if most > 0 && len(patterns) > most && s.refuse(event, s.reached(maxListPatterns)) {
		return nil, false, ErrListPatterns
	}
	if most = settings.MaxListWildcards; most == 0 {
		return patterns, false, nil
	}
	folded, effort := foldAll(patterns, delimiters)
	if effort.wildcards <= most && !effort.hard {
		if effort.wildcards < 2 {
			return folded, false, nil
		}
		_, flat := foldAll(folded, "")
		return folded, flat.hard, nil
	}
	if s.refuse(event, s.reached(maxListWildcards)) {
		return nil, false, ErrListWildcards
	}
	return folded, false, nil
}

// checkLevels refuses patterns that are cheap only if some character is the delimiter, and it is
// not. It asks the backend for the delimiter once in a session.
func (s *session) checkLevels(patterns []string) error {
	if s.delimiter == "" {
		s.delimiter = s.askDelimiter()
	}
	_, effort := foldAll(patterns, s.delimiter)
	event := Event{Command: commandList, User: s.user}
	if effort.hard && s.refuse(event, s.reached(maxListWildcards)) {
		return ErrListWildcards
	}
	return nil
}

// delimiters are the characters that a backend's delimiter may be, before the backend was asked.
const delimiters = "/."

// askDelimiter returns the backend's delimiter; NUL if it has none, and all of delimiters if it
// does not answer.
func (s *session) askDelimiter() string {
	found := delimiters
	var options imap.ListOptions
	capture.List(&options, func(w *imapserver.ListWriter) error {
		return s.Session.List(w, "", nil, &options)
	}, func(data *imap.ListData) error {
		found = string(data.Delim)
		return nil
	})
	return found
}

const (
	// maxPatternBytes is how many bytes all patterns may have together: go-imap's matcher reads them
	// for each mailbox name.
	maxPatternBytes = 2000
	// maxTail is how many of those bytes may follow the first wildcard of their pattern: the matcher
	// reads them at each position in a name.
	maxTail = 64
)

// effort is the cost of matching the patterns of a LIST.
type effort struct {
	wildcards int
	bytes     int
	tail      int  // bytes after the first wildcard of each pattern
	hard      bool // the time can grow faster than the length of a name
}

// foldAll folds the runs of wildcards in the patterns, and returns the cost of matching them if the
// delimiter is one of delimiters.
func foldAll(patterns []string, delimiters string) (folded []string, all effort) {
	folded = patterns
	for i, pattern := range patterns {
		fold := foldWildcards(pattern)
		if len(fold) < len(pattern) {
			if &folded[0] == &patterns[0] {
				folded = slices.Clone(patterns)
			}
			folded[i] = fold
		}
		all.add(fold, delimiters)
	}
	all.hard = all.hard || all.tail > maxTail || all.bytes > maxPatternBytes
	return folded, all
}

// add adds the cost of a folded pattern.
//
// go-imap's matcher tries each position where a wildcard can stop, and from each of them the next
// wildcard likewise: the time grows with the length of a name to the power of the number of
// wildcards. One is harmless. So are a * at the end, which matches all that remains, and a % before
// the delimiter, which can stop only there.
func (e *effort) add(pattern, delimiters string) {
	e.bytes += len(pattern)
	wildcards, open := 0, 0
	for i := range len(pattern) {
		if !isWildcard(pattern[i]) {
			continue
		}
		rest := pattern[i+1:]
		if wildcards == 0 {
			e.tail += len(rest)
		}
		wildcards++
		isLast := rest == "" && pattern[i] == '*'
		isBefore := rest != "" && pattern[i] == '%' && strings.IndexByte(delimiters, rest[0]) >= 0
		if !isLast && !isBefore {
			open++
		}
	}
	e.wildcards += wildcards
	e.hard = e.hard || open > 1 || wildcards > 2
}

func isWildcard(c byte) bool { return c == '*' || c == '%' }

// foldWildcards returns the pattern with each run of wildcards replaced by one: * if the run has a
// *, otherwise %.
func foldWildcards(pattern string) string {
	if !hasRun(pattern) {
		return pattern
	}
	var out strings.Builder
	for i := 0; i < len(pattern); i++ {
		if !isWildcard(pattern[i]) {
			out.WriteByte(pattern[i])
			continue
		}
		wildcard := pattern[i]
		for i+1 < len(pattern) && isWildcard(pattern[i+1]) {
			i++
			if pattern[i] == '*' {
				wildcard = '*'
			}
		}
		out.WriteByte(wildcard)
	}
	return out.String()
}

func hasRun(pattern string) bool {
	for i := 1; i < len(pattern); i++ {
		if isWildcard(pattern[i]) && isWildcard(pattern[i-1]) {
			return true
		}
	}
	return false
}
