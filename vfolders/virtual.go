package vfolders

import (
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
)

// mailbox is what virtual folders are made of.
type mailbox struct {
	name         string
	delim        rune
	isSelectable bool
}

func nameOf(data *imap.ListData) mailbox {
	return mailbox{data.Mailbox, data.Delim, !isNotSelectable(data)}
}

func namesIn(list []*imap.ListData) iter.Seq[mailbox] {
	return func(yield func(mailbox) bool) {
		for _, data := range list {
			if !yield(nameOf(data)) {
				return
			}
		}
	}
}

// entry is a folder that is virtual.
type entry struct {
	delim   rune
	checked bool // whether it matches
	matches bool
}

// findVirtual finds the virtual folders above the mailboxes of the backend, and which of them
// match. Folders above the scope may be found by mistake, because all may not list them; they do
// not match.
func (l *listing) findVirtual(all iter.Seq[mailbox]) {
	l.virtual = make(map[string]*entry)
	for m := range differentParents(all) {
		for parent := range ancestors(m.name, m.delim) {
			if l.virtual[parent] == nil {
				l.virtual[parent] = &entry{delim: m.delim}
			}
		}
	}
	if len(l.virtual) == 0 {
		return
	}
	l.noteParents()
	for m := range all {
		if m.isSelectable {
			delete(l.virtual, m.name)
		}
	}
	for name, e := range l.virtual {
		if !l.session.options.covers(name, e.delim) {
			delete(l.virtual, name)
		}
	}
	l.match(all)
}

// noteParents notes which mailboxes with others below them the client sees. A subscription may be
// to what is no mailbox.
func (l *listing) noteParents() {
	if l.isRestricted() {
		return
	}
	for _, data := range l.shown {
		if l.virtual[data.Mailbox] != nil && !isNotSelectable(data) {
			l.session.saw(data.Mailbox)
		}
	}
}

// match finds out which virtual folders match.
func (l *listing) match(all iter.Seq[mailbox]) {
	matchers := make(map[rune]*matcher) // by delimiter
	var ends []int
	var entries []*entry
	for below := range differentParents(all) {
		ends, entries = ends[:0], entries[:0]
		for parent := range ancestors(below.name, below.delim) {
			if e := l.virtual[parent]; e != nil && !e.checked {
				e.checked = true
				ends, entries = append(ends, len(parent)), append(entries, e)
			}
		}
		if len(ends) == 0 {
			continue
		}
		m := matchers[below.delim]
		if m == nil {
			m = newMatcher(l.ref, l.patterns, below.delim)
			matchers[below.delim] = m
		}
		m.match(below.name, ends, func(i int) { entries[i].matches = true })
	}
}

// differentParents leaves out the mailboxes that have the same parent as the one before.
func differentParents(all iter.Seq[mailbox]) iter.Seq[mailbox] {
	return func(yield func(mailbox) bool) {
		before := mailbox{}
		for m := range all {
			if m.delim != before.delim || m.parent() != before.parent() {
				if !yield(m) {
					return
				}
			}
			before = m
		}
	}
}

// parent returns what is before the last delimiter.
func (m mailbox) parent() string {
	if m.delim == 0 {
		return ""
	}
	var end int
	if m.delim < utf8.RuneSelf {
		end = strings.LastIndexByte(m.name, byte(m.delim))
	} else {
		end = strings.LastIndex(m.name, string(m.delim))
	}
	return m.name[:max(end, 0)]
}
