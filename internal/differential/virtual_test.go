package differential_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// virtualMode says what happens to folders that only hold other folders.
type virtualMode int

const (
	noVirtual virtualMode = iota
	selectable
	noSelect
)

// virtual adds the virtual folders of its user's tree. It keeps the tree itself, and never asks the
// backend for it. A folder that the user has seen as a mailbox is listed as not selectable.
type virtual struct {
	imapserver.SessionIMAP4rev2
	conn       *imapserver.Conn
	trees      map[string]*tree
	tree       *tree
	selectable bool
	opened     bool // a virtual folder is selected
}

var errOnlyHolds = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodeCannot,
	Text: "This folder only holds other folders",
}

const emptyUIDValidity = 2147483646

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
	isLSUB := strings.Contains(fmt.Sprintf("%+v", *w), "lsub:true")
	matches := func(name string) bool {
		return slices.ContainsFunc(
			patterns, func(p string) bool { return imapserver.MatchList(name, '/', ref, p) },
		)
	}
	shows := func(name string) bool {
		return matches(name) && (!options.SelectSubscribed || v.tree.subscribed(name)) &&
			!options.SelectSpecialUse // no mailbox has a special use here
	}
	absent := v.tree.virtual()
	maps.DeleteFunc(absent, func(name string, _ bool) bool {
		switch {
		case !matches(name):
			return true
		case isLSUB, options.SelectRecursiveMatch && !options.SelectSpecialUse:
			return !v.tree.hides(name, shows)
		default:
			return options.SelectSubscribed || options.SelectSpecialUse
		}
	})
	write := func(name string) error {
		delete(absent, name)
		data := &imap.ListData{
			Mailbox: name, Delim: '/', Attrs: v.attrs(name, isLSUB, len(patterns) > 1, options),
		}
		if options.SelectRecursiveMatch {
			data.ChildInfo = &imap.ListDataChildInfo{Subscribed: true}
		}
		if options.ReturnStatus != nil && v.selectable && !v.tree.hasSeen(name) {
			data.Status = nothing(name)
		}
		return w.WriteList(data)
	}
	for _, name := range v.tree.names() {
		if !shows(name) {
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
		if !options.SelectSubscribed && !options.SelectSpecialUse && v.tree.hasChildren(name) {
			v.tree.see(name, nil)
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

func (v *virtual) attrs(
	name string, isLSUB, extended bool, options *imap.ListOptions,
) []imap.MailboxAttr {
	extended = extended || *options != imap.ListOptions{} ||
		v.conn.EnabledCaps().Has(imap.CapIMAP4rev2)
	switch {
	case isLSUB, !v.selectable && !extended, v.selectable && v.tree.hasSeen(name):
		return []imap.MailboxAttr{imap.MailboxAttrNoSelect, imap.MailboxAttrHasChildren}
	case v.selectable:
		return []imap.MailboxAttr{imap.MailboxAttrHasChildren}
	default:
		return []imap.MailboxAttr{imap.MailboxAttrNonExistent, imap.MailboxAttrHasChildren}
	}
}

func nothing(name string) *imap.StatusData {
	return &imap.StatusData{
		Mailbox: name, UIDNext: 1, UIDValidity: emptyUIDValidity, NumMessages: new(uint32),
		NumRecent: new(uint32), NumUnseen: new(uint32),
		NumDeleted: new(uint32), Size: new(int64), AppendLimit: new(uint32), DeletedStorage: new(int64),
	}
}

func (v *virtual) Select(name string, options *imap.SelectOptions) (*imap.SelectData, error) {
	if !v.selectable || !v.tree.virtual()[name] {
		data, err := v.SessionIMAP4rev2.Select(name, options)
		v.tree.see(name, err)
		return data, err
	}
	v.opened = true
	data := &imap.SelectData{
		UIDNext:     1,
		UIDValidity: emptyUIDValidity,
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
	data, err := v.SessionIMAP4rev2.Status(name, options)
	v.tree.see(name, err)
	return data, err
}

func (v *virtual) Create(name string, options *imap.CreateOptions) error {
	name = strings.TrimRight(name, "/")
	return v.tree.change(
		v.SessionIMAP4rev2.Create(name, options), func(m map[string]bool) { m[name] = false },
	)
}

func (v *virtual) Delete(name string) error {
	if v.tree.virtual()[name] {
		return errOnlyHolds
	}
	err := v.SessionIMAP4rev2.Delete(name)
	v.tree.see(name, err)
	return v.tree.change(err, func(m map[string]bool) { delete(m, name) })
}

func (v *virtual) Rename(name, to string, options *imap.RenameOptions) error {
	if v.tree.virtual()[name] {
		return errOnlyHolds
	}
	to = strings.TrimRight(to, "/")
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
		return errOnlyHolds
	}
	return v.tree.change(do(name), func(m map[string]bool) { m[name] = yes })
}

// into corrects the error of a command that puts messages into a virtual folder. imapmemserver does
// not have the folder, so its error is another one. A MOVE out of a mailbox that is read-only gets
// a NO without a code, which may mean that as well.
func (v *virtual) into(dest string, err error) error {
	var answer *imap.Error
	if errors.As(err, &answer) && v.tree.virtual()[dest] &&
		(answer.Code == imap.ResponseCodeTryCreate || answer.Code == "") {
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
