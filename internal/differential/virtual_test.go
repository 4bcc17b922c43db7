package differential_test

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// virtualMode is what folders are that only hold other folders.
type virtualMode int

const (
	noVirtual virtualMode = iota
	selectable
	noSelect
)

// virtual has the virtual folders of its user's tree, which it keeps itself and never asks the
// backend for.
type virtual struct {
	imapserver.SessionIMAP4rev2
	conn       *imapserver.Conn
	trees      map[string]*tree
	tree       *tree
	selectable bool
	opened     bool // a virtual folder is selected
}

var (
	errOnlyHolds = &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeCannot,
		Text: "This folder only holds other folders",
	}
	errIsThere = &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeAlreadyExists,
		Text: "This folder exists already, to hold other folders",
	}
)

func (v *virtual) Login(username, password string) error {
	err := v.SessionIMAP4rev2.Login(username, password)
	if err == nil {
		v.tree = v.trees[username]
	}
	return err
}

func (v *virtual) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	if len(patterns) == 0 {
		return v.SessionIMAP4rev2.List(w, ref, patterns, options)
	}
	matches := func(name string) bool {
		return slices.ContainsFunc(
			patterns, func(p string) bool { return imapserver.MatchList(name, '/', ref, p) },
		)
	}
	subscribed := v.tree.parents(true)
	if options.SelectSpecialUse {
		clear(subscribed) // nothing has one here
	}
	absent := v.tree.virtual()
	maps.DeleteFunc(absent, func(name string, _ bool) bool {
		return !matches(name) || options.SelectSubscribed && !subscribed[name] ||
			options.SelectSpecialUse && !options.SelectRecursiveMatch
	})
	write := func(name string) error {
		delete(absent, name)
		data := &imap.ListData{Mailbox: name, Delim: '/', Attrs: v.attrs(len(patterns) > 1, options)}
		if subscribed[name] && (options.SelectSubscribed || options.ReturnSubscribed) {
			data.Attrs = append(data.Attrs, imap.MailboxAttrSubscribed)
			if options.SelectRecursiveMatch {
				data.ChildInfo = &imap.ListDataChildInfo{Subscribed: true}
			}
		}
		if options.ReturnStatus != nil && v.selectable {
			data.Status = nothing(name)
		}
		return w.WriteList(data)
	}
	for _, name := range v.tree.names() {
		if !matches(name) || options.SelectSubscribed && !v.tree.subscribed(name) ||
			options.SelectSpecialUse {
			continue
		}
		for _, parent := range parents(name) {
			if !absent[parent] {
				continue
			}
			if err := write(parent); err != nil {
				return err
			}
		}
		data := &imap.ListData{Mailbox: name, Delim: '/'}
		if v.tree.subscribed(name) {
			data.Attrs = append(data.Attrs, imap.MailboxAttrSubscribed)
		}
		if options.ReturnStatus != nil {
			data.Status, _ = v.SessionIMAP4rev2.Status(name, options.ReturnStatus)
		}
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(absent)) {
		if err := write(name); err != nil {
			return err
		}
	}
	return nil
}

func (v *virtual) attrs(extended bool, options *imap.ListOptions) []imap.MailboxAttr {
	plain, lsub := imap.ListOptions{}, imap.ListOptions{SelectSubscribed: true}
	switch rev2 := v.conn.EnabledCaps().Has(imap.CapIMAP4rev2); {
	case v.selectable:
		return []imap.MailboxAttr{imap.MailboxAttrHasChildren}
	case !extended && !rev2 && *options == plain:
		return []imap.MailboxAttr{imap.MailboxAttrNoSelect, imap.MailboxAttrHasChildren}
	case !extended && !rev2 && *options == lsub:
		return []imap.MailboxAttr{
			imap.MailboxAttrNonExistent, imap.MailboxAttrNoSelect, imap.MailboxAttrHasChildren,
		}
	default:
		return []imap.MailboxAttr{imap.MailboxAttrNonExistent, imap.MailboxAttrHasChildren}
	}
}

func nothing(name string) *imap.StatusData {
	return &imap.StatusData{
		Mailbox: name, UIDNext: 1, UIDValidity: 1, NumMessages: new(uint32), NumRecent: new(uint32), NumUnseen: new(uint32),
		NumDeleted: new(uint32), Size: new(int64), AppendLimit: new(uint32), DeletedStorage: new(int64),
	}
}

func (v *virtual) Select(name string, options *imap.SelectOptions) (*imap.SelectData, error) {
	if !v.selectable || !v.tree.virtual()[name] {
		return v.SessionIMAP4rev2.Select(name, options)
	}
	v.opened = true
	data := &imap.SelectData{
		UIDNext:     1,
		UIDValidity: 1,
		Flags:       []imap.Flag{`\Answered`, `\Flagged`, `\Deleted`, `\Seen`, `\Draft`},
	}
	if v.conn.EnabledCaps().Has(imap.CapIMAP4rev2) {
		data.List = &imap.ListData{
			Mailbox: name,
			Delim:   '/',
			Attrs:   []imap.MailboxAttr{imap.MailboxAttrHasChildren},
		}
	}
	return data, nil
}

func (v *virtual) Status(name string, options *imap.StatusOptions) (*imap.StatusData, error) {
	if v.selectable && v.tree.virtual()[name] {
		return nothing(name), nil
	}
	return v.SessionIMAP4rev2.Status(name, options)
}

func (v *virtual) Create(name string, options *imap.CreateOptions) error {
	name = strings.TrimRight(name, "/")
	if v.tree.virtual()[name] {
		return errIsThere
	}
	return v.tree.change(
		v.SessionIMAP4rev2.Create(name, options), func(m map[string]bool) { m[name] = false },
	)
}

func (v *virtual) Delete(name string) error {
	if v.tree.virtual()[name] {
		return errOnlyHolds
	}
	return v.tree.change(v.SessionIMAP4rev2.Delete(name), func(m map[string]bool) { delete(m, name) })
}

func (v *virtual) Rename(name, to string, options *imap.RenameOptions) error {
	folders := v.tree.virtual()
	to = strings.TrimRight(to, "/")
	switch {
	case folders[name]:
		return errOnlyHolds
	case folders[to]:
		return errIsThere
	}
	return v.tree.change(v.SessionIMAP4rev2.Rename(name, to, options), func(m map[string]bool) {
		m[to] = m[name]
		delete(m, name)
	})
}

func (v *virtual) Subscribe(name string) error {
	return v.subscribe(name, true, v.SessionIMAP4rev2.Subscribe)
}

func (v *virtual) Unsubscribe(name string) error {
	return v.subscribe(name, false, v.SessionIMAP4rev2.Unsubscribe)
}

func (v *virtual) subscribe(name string, yes bool, do func(string) error) error {
	if v.tree.virtual()[name] {
		return nil
	}
	return v.tree.change(do(name), func(m map[string]bool) { m[name] = yes })
}

// into is for commands that put messages into a mailbox. imapmemserver has no virtual folder, so it
// has answered with an error there.
func (v *virtual) into(dest string, err error) error {
	var answer *imap.Error
	if errors.As(err, &answer) && v.tree.virtual()[dest] && answer.Code == imap.ResponseCodeTryCreate {
		return errOnlyHolds
	}
	return err
}

func (v *virtual) Append(
	dest string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	data, err := v.SessionIMAP4rev2.Append(dest, r, options)
	return data, v.into(dest, err)
}
