package vfolders

import (
	"reflect"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// List writes what the backend lists, and the virtual folders.
func (s *session) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	scope := s.options.scope(ref, patterns)
	if len(scope) == 0 {
		return s.Session.List(w, ref, patterns, options)
	}
	share := s.memory.share(s.userName())
	defer share.bytes.Close()
	for {
		l := &listing{
			session: s, ref: ref, patterns: patterns, scope: scope, options: *options,
			isLSUB: isLSUB(w), share: share,
		}
		if err := l.ask(); err != nil {
			return err
		}
		if !share.short {
			return s.write(w, l.merge(), share)
		}
		if err := share.wait(s.socket); err != nil {
			return err
		}
	}
}

// write writes an answer, and keeps no more of the share than that takes. If the client takes too
// long to read it while others wait for memory, the connection ends.
func (s *session) write(
	w *imapserver.ListWriter, answer []*imap.ListData, share *share,
) error {
	size := int64(0)
	for _, data := range answer {
		size += sizeOf(data)
	}
	share.bytes.Shrink(size)
	defer share.limitHold(func() {
		// What is being written fails. A response that begins later has a deadline of its own.
		s.conn.NetConn().SetWriteDeadline(time.Unix(1, 0))
	})()
	for _, data := range answer {
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return nil
}

// isLSUB tells LSUB from LIST (SUBSCRIBED). They come with the same options, but only LSUB shows
// the parent of a subscription in its place (RFC 3501 section 6.3.9). Only a private field of the
// writer makes the difference. If go-imap renames it, LSUB is answered as LIST.
func isLSUB(w *imapserver.ListWriter) bool {
	field := reflect.ValueOf(w).Elem().FieldByName("lsub")
	return field.Kind() == reflect.Bool && field.Bool()
}

// listing is the answer to one LIST or LSUB.
type listing struct {
	session  *session
	ref      string
	patterns []string
	scope    []string
	options  imap.ListOptions
	isLSUB   bool
	share    *share

	shown []*imap.ListData // what the backend lists
	// virtual has all virtual folders that the answer may have.
	virtual map[string]*entry
	// selected are all names that meet the selection options, whether the patterns match them or not.
	selected map[string]bool
	// above are the parents of the selected names, and aboveHidden of those that are not in the answer
	// themselves.
	above, aboveHidden map[string]rune
	// subscribed are the names that the user is subscribed to, if the client only wants to be told of
	// that.
	subscribed map[string]bool
	roots      map[string]rune
}

// isRestricted tells whether the client wants some names only, whatever their patterns.
func (l *listing) isRestricted() bool {
	return l.options.SelectSubscribed || l.options.SelectSpecialUse
}

// isRecursive tells whether a name is in the answer because of what is below it.
func (l *listing) isRecursive() bool { return l.isLSUB || l.options.SelectRecursiveMatch }

// list returns what the backend lists, or nothing if there is too little memory. With withFolders
// it takes memory for the virtual folders too that will be made of the list.
func (l *listing) list(
	ref string, patterns []string, options imap.ListOptions, withFolders bool,
) (list []*imap.ListData, err error) {
	before := ""
	err = l.session.backendList(ref, patterns, &options, func(data *imap.ListData) error {
		size := sizeOf(data)
		if withFolders {
			size += l.sizeOfFolders(data, before)
			before = data.Mailbox
		}
		ok, err := l.take(size)
		if ok {
			list = append(list, data)
		} else {
			list = nil
		}
		return err
	})
	return list, err
}

// listNames returns the names of all mailboxes in the scope, or nothing if there is too little
// memory. It takes memory for the virtual folders too that will be made of them.
func (l *listing) listNames() (names []mailbox, err error) {
	before := ""
	err = l.session.backendList("", l.scope, &imap.ListOptions{}, func(data *imap.ListData) error {
		ok, err := l.take(
			sizeOfName + int64(len(data.Mailbox)) + l.sizeOfFolders(data, before),
		)
		before = data.Mailbox
		if ok {
			names = append(names, nameOf(data))
		} else {
			names = nil
		}
		return err
	})
	return names, err
}

// take takes memory. If there is too little, it forgets what has been collected.
func (l *listing) take(size int64) (ok bool, err error) {
	if ok, err = l.share.take(size); !ok {
		l.shown, l.virtual, l.selected, l.subscribed = nil, nil, nil, nil
		l.above, l.aboveHidden = nil, nil
	}
	return ok, err
}

// ask asks the backend for everything that the answer depends on. If the client has asked for the
// whole scope, one LIST is enough.
func (l *listing) ask() (err error) {
	whole := l.ref == "" && (slices.Contains(l.patterns, "*") || slices.Equal(l.patterns, l.scope))
	isAll := whole && !l.isRestricted() && !l.options.SelectRemote
	if l.shown, err = l.list(l.ref, l.patterns, l.options, isAll); err != nil {
		return err
	}
	if l.isRestricted() {
		mayRewrite := slices.ContainsFunc(l.shown, isNotSelectable)
		if l.isRecursive() || mayRewrite {
			if err := l.askForSelected(whole); err != nil {
				return err
			}
		}
		if !mayRewrite && (!l.isRecursive() || len(l.aboveHidden) == 0) {
			return nil // no virtual folder can be in the answer
		}
	}
	all := namesIn(l.shown)
	if !isAll {
		names, err := l.listNames()
		if err != nil {
			return err
		}
		all = slices.Values(names)
	}
	l.findVirtual(all)
	if len(l.virtual) == 0 {
		return nil
	}
	l.roots = l.session.roots()
	if l.options.ReturnSubscribed && !l.options.SelectSubscribed {
		return l.askForSubscribed()
	}
	return nil
}

func (l *listing) askForSelected(whole bool) error {
	selected := l.shown
	if !whole {
		var err error
		selected, err = l.list("", l.scope, imap.ListOptions{
			SelectSubscribed: l.options.SelectSubscribed,
			SelectRemote:     l.options.SelectRemote,
			SelectSpecialUse: l.options.SelectSpecialUse,
		}, false)
		if err != nil {
			return err
		}
	}
	l.selected = namesOf(selected)
	shown := namesOf(l.shown)
	l.above = parents(selected)
	l.aboveHidden = parents(
		slices.DeleteFunc(slices.Clone(selected), func(data *imap.ListData) bool {
			return shown[data.Mailbox]
		}),
	)
	return nil
}

func (l *listing) askForSubscribed() error {
	subscribed, err := l.list("", l.scope, imap.ListOptions{SelectSubscribed: true}, false)
	l.subscribed = namesOf(subscribed)
	return err
}

func namesOf(list []*imap.ListData) map[string]bool {
	names := make(map[string]bool, len(list))
	for _, data := range list {
		names[data.Mailbox] = true
	}
	return names
}
