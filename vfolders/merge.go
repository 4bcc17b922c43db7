package vfolders

import (
	"cmp"
	"slices"

	"github.com/emersion/go-imap/v2"
)

// merge adds the virtual folders to what the backend has shown. A folder replaces the backend's
// entry for it. Without one it comes before what is below it, or else at the end.
func (l *listing) merge() []*imap.ListData {
	absent := make(map[string]*entry)
	for name, e := range l.virtual {
		if e.matches && l.adds(name) {
			absent[name] = e
		}
	}
	for _, data := range l.shown {
		delete(absent, data.Mailbox)
	}
	answer := make([]*imap.ListData, 0, len(l.shown)+len(absent))
	rewritten := make(map[string]bool)
	for _, data := range l.shown {
		if len(absent) > 0 {
			for parent := range ancestors(data.Mailbox, data.Delim) {
				if e := absent[parent]; e != nil {
					delete(absent, parent)
					answer = append(answer, l.entry(&imap.ListData{Mailbox: parent, Delim: e.delim}))
				}
			}
		}
		if l.rewrites(data) {
			if rewritten[data.Mailbox] {
				continue
			}
			rewritten[data.Mailbox] = true
			data = l.entry(data)
		}
		answer = append(answer, data)
	}
	rest := len(answer)
	for name, e := range absent {
		answer = append(answer, l.entry(&imap.ListData{Mailbox: name, Delim: e.delim}))
	}
	slices.SortFunc(answer[rest:], func(a, b *imap.ListData) int {
		return cmp.Compare(a.Mailbox, b.Mailbox)
	})
	return answer
}

// adds tells whether a virtual folder that matches is in the answer, where the backend has no entry
// for it.
func (l *listing) adds(name string) bool {
	if !l.isRestricted() {
		return true
	}
	_, ok := l.aboveHidden[name]
	return ok && l.isRecursive()
}

// rewrites tells whether the backend's entry is that of a virtual folder. Where the client asks for
// subscriptions, the backend may have added a parent of one, which is left as it is.
func (l *listing) rewrites(data *imap.ListData) bool {
	return l.virtual[data.Mailbox] != nil && isNotSelectable(data) &&
		(!l.isRestricted() || l.isRecursive() || l.selected[data.Mailbox])
}

// entry returns the entry of a virtual folder, of what the backend's own entry, if it has one,
// says about it.
func (l *listing) entry(own *imap.ListData) *imap.ListData {
	_, isAbove := l.above[own.Mailbox]
	isSubscribed := hasAttr(own, imap.MailboxAttrSubscribed) ||
		l.options.SelectSubscribed && l.selected[own.Mailbox] || l.subscribed[own.Mailbox]
	data := &imap.ListData{
		Mailbox:   own.Mailbox,
		Delim:     own.Delim,
		Attrs:     l.attrs(own.Mailbox, isSubscribed),
		ChildInfo: own.ChildInfo,
		OldName:   own.OldName,
	}
	if isSubscribed {
		data.Attrs = append(data.Attrs, imap.MailboxAttrSubscribed)
	}
	for _, attr := range own.Attrs {
		if !contains(ofOurs, attr) {
			data.Attrs = append(data.Attrs, attr)
		}
	}
	if isAbove && l.options.SelectRecursiveMatch {
		data.ChildInfo = &imap.ListDataChildInfo{Subscribed: true}
	}
	if l.options.ReturnStatus != nil && !isNotSelectable(data) {
		data.Status = emptyStatus(own.Mailbox)
	}
	return data
}

// ofOurs are the attributes that an entry of the backend's does not decide about: they are wrong
// for a virtual folder, or there already.
var ofOurs = []imap.MailboxAttr{
	imap.MailboxAttrNoSelect, imap.MailboxAttrNonExistent, imap.MailboxAttrNoInferiors,
	imap.MailboxAttrHasNoChildren, imap.MailboxAttrHasChildren, imap.MailboxAttrMarked,
	imap.MailboxAttrUnmarked, imap.MailboxAttrSubscribed,
}

// attrs returns the attributes of a virtual folder. Two kinds are \Noselect, although they can be
// opened: the root of a namespace, which some clients open by a wrong name, and what a client may
// still take for the mailbox that it was.
func (l *listing) attrs(name string, isSubscribed bool) []imap.MailboxAttr {
	isParentInLSUB := l.isLSUB && !isSubscribed // RFC 3501 section 6.3.9
	_, isRoot := l.roots[name]
	isNoSelect := l.session.options.Mode == NoSelect
	switch {
	case isNoSelect && l.isExtended():
		return []imap.MailboxAttr{imap.MailboxAttrNonExistent, imap.MailboxAttrHasChildren}
	case isNoSelect, isParentInLSUB, isRoot, l.session.hasSeen(name):
		return []imap.MailboxAttr{imap.MailboxAttrNoSelect, imap.MailboxAttrHasChildren}
	default:
		return []imap.MailboxAttr{imap.MailboxAttrHasChildren}
	}
}

// isExtended tells whether the client knows \NonExistent (RFC 9051 section 7.3.1).
func (l *listing) isExtended() bool {
	return !l.isLSUB && (len(l.patterns) > 1 || l.options != imap.ListOptions{} ||
		l.session.conn.EnabledCaps().Has(imap.CapIMAP4rev2))
}
