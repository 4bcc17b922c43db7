package limits

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/capture"
)

// List passes the patterns on with runs of wildcards folded into one, which match the same, or
// refuses them.
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

// checkPatterns returns the patterns as they are passed on, and whether they are to be looked at
// again by checkLevels; or the answer to a LIST that is refused.
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

// checkLevels refuses patterns that end a level with a character that is not the delimiter, which
// is asked of the backend once in a session.
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

// delimiters are what the delimiter of a backend may be, as far as is known here.
const delimiters = "/."

// askDelimiter returns the delimiter of the backend; NUL if it has none, and all delimiters if it
// does not say.
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
	// maxPatternBytes is how many bytes all patterns may have together: go-imap's matcher looks
	// through them for each name.
	maxPatternBytes = 2000
	// maxTail is how many of them may follow the first wildcard of their pattern: it looks through
	// those at each place in a name.
	maxTail = 64
)

// effort is what it takes to match the patterns of a LIST.
type effort struct {
	wildcards int
	bytes     int
	tail      int  // bytes after the first wildcard of each
	hard      bool // it can take longer than in proportion to the length of a name
}

// foldAll folds the runs of wildcards in the patterns, for names with one of the delimiters.
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

// add adds what it takes to match a folded pattern.
//
// go-imap's matcher tries each place where a wildcard can end, and from there the next wildcard
// likewise: the time grows with the length of a name to the power of the wildcards. One is
// harmless, and so are a * at the end, which matches all that is left, and a % before the
// delimiter, which can only end there.
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

// foldWildcards returns the pattern with each run of wildcards made one, * if there is a * in it.
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
