package vfolders

import (
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
)

const (
	// forbidden is what no client can send in a name, or that stands for malformed UTF-8.
	forbidden = "\x00\r\n\uFFFD"
	// maxLevels bounds what one name can cost: each of its levels can become a folder.
	maxLevels = 20
)

// canBeVirtual tells whether a virtual folder can have the name. INBOX never is one: it belongs to
// the backend, which may make it at the next delivery.
func canBeVirtual(name string) bool {
	return name != "" && !strings.EqualFold(name, "INBOX") && canBeSent(name)
}

// canBeSent tells whether a client that reads the name can send it back.
func canBeSent(name string) bool { return !strings.ContainsAny(name, forbidden) }

// ancestors returns those names above a mailbox that can be virtual, from the top down.
func ancestors(name string, delim rune) iter.Seq[string] {
	return func(yield func(string) bool) {
		if delim == 0 {
			return
		}
		separator := string(delim)
		all := canBeSent(name) // then so can all its ancestors, which need no look of their own
		end := 0
		for range maxLevels {
			next := strings.Index(name[end:], separator)
			if next < 0 {
				return
			}
			end += next
			parent := name[:end]
			isVirtual := parent != "" && !strings.EqualFold(parent, "INBOX") &&
				(all || canBeSent(parent)) &&
				!strings.HasSuffix(parent, separator) // a level without a name cannot be opened
			if isVirtual && !yield(parent) {
				return
			}
			end += len(separator)
		}
	}
}

// isAncestor tells whether the name is one of the ancestors of a mailbox.
func isAncestor(name, mailbox string, delim rune) bool {
	if delim == 0 {
		return false
	}
	separator := string(delim)
	below, ok := strings.CutPrefix(mailbox, name)
	return ok && strings.HasPrefix(below, separator) && !strings.HasSuffix(name, separator) &&
		strings.Count(name, separator) < maxLevels && canBeVirtual(name)
}

// parents returns all ancestors of the mailboxes, with their delimiters.
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

// covers tells whether virtual folders may have the name.
func (o *Options) covers(name string, delim rune) bool {
	return len(o.Prefixes) == 0 || slices.ContainsFunc(o.Prefixes, func(prefix string) bool {
		below, ok := strings.CutPrefix(name, strings.TrimSuffix(prefix, string(delim)))
		return ok && (below == "" || strings.HasPrefix(below, string(delim)))
	})
}

// mayCover tells whether there is a delimiter with which covers is true.
func (o *Options) mayCover(name string) bool {
	return len(o.Prefixes) == 0 || slices.ContainsFunc(o.Prefixes, func(prefix string) bool {
		_, last := utf8.DecodeLastRuneInString(prefix)
		return strings.HasPrefix(name, prefix) || name == prefix[:len(prefix)-last]
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
