package vfolders

import (
	"maps"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// List writes what the backend lists, with the virtual folders among it.
func (s *session) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	scope := s.options.scope(ref, patterns)
	if len(scope) == 0 {
		return s.Session.List(w, ref, patterns, options)
	}
	shown, err := s.backendList(ref, patterns, *options)
	if err != nil {
		return err
	}
	l := &listing{
		options:    *options,
		attrs:      s.attrs(len(patterns) > 1, options),
		selectable: s.options.Mode == Selectable,
	}
	whole := ref == "" && (slices.Contains(patterns, "*") || slices.Equal(patterns, scope))
	if err := l.ask(s, scope, shown, whole); err != nil {
		return err
	}
	for _, data := range l.merge(shown, newMatcher(ref, patterns)) {
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return nil
}

// attrs returns the attributes that all virtual folders have for the client.
func (s *session) attrs(extended bool, options *imap.ListOptions) []imap.MailboxAttr {
	if s.options.Mode == Selectable {
		return []imap.MailboxAttr{imap.MailboxAttrHasChildren}
	}
	lsub := imap.ListOptions{SelectSubscribed: true} // or LIST (SUBSCRIBED)
	switch {
	case extended,
		*options != imap.ListOptions{} && *options != lsub,
		s.conn.EnabledCaps().Has(imap.CapIMAP4rev2):
		return []imap.MailboxAttr{imap.MailboxAttrNonExistent, imap.MailboxAttrHasChildren}
	case *options == lsub:
		return []imap.MailboxAttr{
			imap.MailboxAttrNonExistent, imap.MailboxAttrNoSelect, imap.MailboxAttrHasChildren,
		}
	default:
		return []imap.MailboxAttr{imap.MailboxAttrNoSelect, imap.MailboxAttrHasChildren}
	}
}

// listing is what is known for the answer to a LIST.
type listing struct {
	options    imap.ListOptions
	attrs      []imap.MailboxAttr // of all virtual folders
	selectable bool               // all virtual folders are
	virtual    map[string]rune    // virtual folders and their delimiters
	subscribed map[string]rune    // folders with something below them that is subscribed, and meets the other selection options
}

// ask finds out about all that is in the scope. If the client asked for the whole of it, some of
// that is in what is shown already.
func (l *listing) ask(s *session, scope []string, shown []*imap.ListData, whole bool) error {
	o := l.options
	if o.SelectSubscribed || o.ReturnSubscribed {
		subscribed := shown
		if !whole || !o.SelectSubscribed || o.SelectRecursiveMatch {
			only := imap.ListOptions{
				SelectSubscribed: true,
				SelectRemote:     o.SelectRemote,
				SelectSpecialUse: o.SelectSpecialUse,
			}
			var err error
			if subscribed, err = s.backendList("", scope, only); err != nil {
				return err
			}
		}
		l.subscribed = parents(
			slices.DeleteFunc(slices.Clone(subscribed), func(data *imap.ListData) bool {
				return hasAttr(data, imap.MailboxAttrNonExistent)
			}),
		)
		if o.SelectSubscribed && len(l.subscribed) == 0 && !slices.ContainsFunc(shown, isNotSelectable) {
			return nil // no virtual folder can be in the answer
		}
	}
	all := shown
	if !whole || o.SelectSubscribed || o.SelectRemote || o.SelectSpecialUse {
		var err error
		if all, err = s.backendList("", scope, imap.ListOptions{}); err != nil {
			return err
		}
	}
	l.virtual = s.options.virtual(all)
	return nil
}

// merge puts the virtual folders that match into what the backend has shown: those that it has an
// entry for where that is, others before what is below them, and the rest at the end.
func (l *listing) merge(shown []*imap.ListData, m *matcher) []*imap.ListData {
	absent := make(map[string]rune)
	for name, delim := range l.virtual {
		if l.selects(name) && m.match(name, delim) {
			absent[name] = delim
		}
	}
	for _, data := range shown {
		delete(absent, data.Mailbox)
	}
	answer := make([]*imap.ListData, 0, len(shown)+len(absent))
	rewritten := make(map[string]bool)
	for _, data := range shown {
		if len(absent) > 0 {
			for parent := range ancestors(data.Mailbox, data.Delim) {
				if delim, ok := absent[parent]; ok {
					delete(absent, parent)
					answer = append(answer, l.folder(&imap.ListData{Mailbox: parent, Delim: delim}))
				}
			}
		}
		if _, ok := l.virtual[data.Mailbox]; ok && isNotSelectable(data) {
			if rewritten[data.Mailbox] {
				continue
			}
			rewritten[data.Mailbox] = true
			data = l.folder(data)
		}
		answer = append(answer, data)
	}
	for _, name := range slices.Sorted(maps.Keys(absent)) {
		answer = append(answer, l.folder(&imap.ListData{Mailbox: name, Delim: absent[name]}))
	}
	return answer
}

// selects tells whether a virtual folder meets the selection options.
func (l *listing) selects(name string) bool {
	o := l.options
	if o.SelectSpecialUse && !o.SelectRecursiveMatch {
		return false
	}
	_, subscribed := l.subscribed[name]
	return subscribed || !o.SelectSubscribed
}

// folder returns the entry of a virtual folder, of what the backend's own entry, if it has one,
// says about it.
func (l *listing) folder(own *imap.ListData) *imap.ListData {
	folder := &imap.ListData{
		Mailbox:   own.Mailbox,
		Delim:     own.Delim,
		ChildInfo: own.ChildInfo,
		OldName:   own.OldName,
	}
	folder.Attrs = slices.Clone(l.attrs)
	for _, attr := range own.Attrs {
		if !contains(untrue, attr) {
			folder.Attrs = append(folder.Attrs, attr)
		}
	}
	if _, ok := l.subscribed[own.Mailbox]; ok {
		if !hasAttr(folder, imap.MailboxAttrSubscribed) {
			folder.Attrs = append(folder.Attrs, imap.MailboxAttrSubscribed)
		}
		if l.options.SelectRecursiveMatch {
			folder.ChildInfo = &imap.ListDataChildInfo{Subscribed: true}
		}
	}
	if l.selectable && l.options.ReturnStatus != nil {
		folder.Status = emptyStatus(own.Mailbox)
	}
	return folder
}

// untrue are the attributes that an entry of the backend's for a virtual folder loses.
var untrue = []imap.MailboxAttr{
	imap.MailboxAttrNoSelect, imap.MailboxAttrNonExistent, imap.MailboxAttrNoInferiors,
	imap.MailboxAttrHasNoChildren, imap.MailboxAttrHasChildren, imap.MailboxAttrMarked, imap.MailboxAttrUnmarked,
}
