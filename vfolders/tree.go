package vfolders

import (
	"iter"
	"slices"
	"strings"
	"unicode"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/capture"
)

const (
	forbidden = "\x00\r\n" // in the names of virtual folders
	maxLevels = 20         // of hierarchy: each level of a name can become a folder, of which a client may list all
)

// backendList returns what the backend lists.
func (s *session) backendList(
	ref string, patterns []string, options imap.ListOptions,
) ([]*imap.ListData, error) {
	var list []*imap.ListData
	err := capture.List(&options, func(w *imapserver.ListWriter) error {
		return s.Session.List(w, ref, patterns, &options)
	}, func(data *imap.ListData) error {
		list = append(list, data)
		return nil
	})
	return list, err
}

// find tells whether the name is that of a virtual folder, and at which delimiter its children
// begin.
func (s *session) find(name string) (delim rune, ok bool, err error) {
	scope := s.options.scope("", []string{name})
	if name == "" || len(scope) == 0 {
		return 0, false, nil
	}
	list, err := s.backendList("", scope, imap.ListOptions{})
	if err != nil {
		return 0, false, err
	}
	delim, ok = s.options.virtual(list)[name]
	return delim, ok, nil
}

// scope returns the patterns for a LIST that shows all that is needed to know the virtual folders
// that match the patterns: those and what is below them. It returns none if there can be no such
// folders.
func (o *Options) scope(ref string, patterns []string) []string {
	if len(patterns) == 0 {
		return nil
	}
	common := literal(ref, patterns[0])
	for _, pattern := range patterns[1:] {
		common = commonPrefix(common, literal(ref, pattern))
	}
	if len(o.Prefixes) == 0 {
		return below(common)
	}
	var scope []string
	for _, prefix := range o.Prefixes {
		// The delimiter at its end, if it has one, would leave out the mailbox without it.
		prefix = literal("", strings.TrimRightFunc(prefix, isNotWord))
		if strings.HasPrefix(common, prefix) {
			return below(common)
		}
		if strings.HasPrefix(prefix, common) {
			scope = append(scope, below(prefix)...)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(scope)))
}

// below returns the patterns for all names that begin so, and for what is below INBOX, whose case
// does not matter, if that does.
func below(start string) []string {
	if start != "" && strings.HasPrefix("INBOX", start) {
		return []string{"I*", "i*"}
	}
	return []string{start + "*"}
}

// literal returns what every name that matches begins with, as far as it can be the beginning of a
// pattern.
func literal(ref, pattern string) string {
	if pattern = cut(pattern); strings.IndexFunc(pattern, isNotWord) == 0 {
		return "" // this may be a delimiter, which drops the reference
	}
	if ref == "" {
		return pattern
	}
	if ref = cut(ref); strings.IndexFunc(ref, isNotWord) == 0 {
		return ""
	}
	return ref // a delimiter may follow or not
}

// cut returns what is before the first wildcard.
func cut(pattern string) string {
	if wildcard := strings.IndexAny(pattern, "*%"); wildcard >= 0 {
		return pattern[:wildcard]
	}
	return pattern
}

// isNotWord tells whether a character may be a delimiter.
func isNotWord(r rune) bool { return r != '#' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }

func commonPrefix(a, b string) string {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			n = i
			break
		}
	}
	return strings.ToValidUTF8(a[:n], "") // the cut may be within a character
}

// virtual returns the names of the virtual folders that a list of the backend's mailboxes implies,
// with their delimiters. Of a list within a scope the folders above it are no more than a guess.
func (o *Options) virtual(list []*imap.ListData) map[string]rune {
	folders := parents(list)
	for _, data := range list {
		if _, ok := folders[data.Mailbox]; ok && !isNotSelectable(data) {
			delete(folders, data.Mailbox)
		}
	}
	for name, delim := range folders {
		if !o.covers(name, delim) {
			delete(folders, name)
		}
	}
	return folders
}

// parents returns all proper ancestors of the mailboxes, with their delimiters.
func parents(list []*imap.ListData) map[string]rune {
	folders := make(map[string]rune)
	for _, data := range list {
		for parent := range ancestors(data.Mailbox, data.Delim) {
			if _, ok := folders[parent]; !ok {
				folders[parent] = data.Delim
			}
		}
	}
	return folders
}

// ancestors returns the proper ancestors of a mailbox, from the top down.
func ancestors(name string, delim rune) iter.Seq[string] {
	return func(yield func(string) bool) {
		if delim == 0 {
			return
		}
		separator := string(delim)
		end := 0
		for range maxLevels {
			next := strings.Index(name[end:], separator)
			if next < 0 {
				return
			}
			end += next
			parent := name[:end]
			if strings.EqualFold(parent, "INBOX") {
				parent = "INBOX"
			}
			// A level without a name is none that a client could open.
			if parent != "" && !strings.HasSuffix(parent, separator) &&
				!strings.ContainsAny(parent, forbidden) &&
				!yield(parent) {
				return
			}
			end += len(separator)
		}
	}
}

// covers tells whether virtual folders may have the name.
func (o *Options) covers(name string, delim rune) bool {
	return len(o.Prefixes) == 0 || slices.ContainsFunc(o.Prefixes, func(prefix string) bool {
		below, ok := strings.CutPrefix(name, strings.TrimSuffix(prefix, string(delim)))
		return ok && (below == "" || strings.HasPrefix(below, string(delim)))
	})
}

func isNotSelectable(data *imap.ListData) bool {
	return hasAttr(data, imap.MailboxAttrNoSelect) || hasAttr(data, imap.MailboxAttrNonExistent)
}

func hasAttr(data *imap.ListData, attr imap.MailboxAttr) bool { return contains(data.Attrs, attr) }

// contains tells whether the attribute, which is not case-sensitive, is one of attrs.
func contains(attrs []imap.MailboxAttr, attr imap.MailboxAttr) bool {
	return slices.ContainsFunc(
		attrs, func(a imap.MailboxAttr) bool { return strings.EqualFold(string(a), string(attr)) },
	)
}
