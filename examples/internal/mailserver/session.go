package mailserver

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// NewSession is called for each connection.
func (b *backend) NewSession(
	*imapserver.Conn,
) (imapserver.Session, *imapserver.GreetingData, error) {
	return &session{backend: b}, nil, nil
}

// session is what a client talks to. The embedded one is for the user's own mail. For what others
// share it asks theirs.
type session struct {
	*imapmemserver.UserSession // nil before login
	backend                    *backend
	name                       string
	user                       *imapmemserver.User
	selected                   atomic.Pointer[selected] // nil if there is none
}

var _ imapserver.SessionIMAP4rev2 = (*session)(nil)

var (
	errNoMailbox = no(imap.ResponseCodeNonExistent, "No such mailbox")
	errTryCreate = no(imap.ResponseCodeTryCreate, "No such mailbox")
	errOthers    = no(imap.ResponseCodeCannot, "This part of the tree is for what other users share")
)

func (s *session) Login(username, password string) error {
	user := s.backend.users[username]
	if user == nil {
		return imapserver.ErrAuthFailed
	}
	if err := user.Login(username, password); err != nil {
		return err
	}
	s.UserSession, s.name, s.user = imapmemserver.NewUserSession(user), username, user
	return nil
}

// find returns the owner of a mailbox, and its name there. A name below #users that nobody shares
// is an error without TRYCREATE.
func (s *session) find(mailbox string) (owner *imapmemserver.User, folder string, err error) {
	if !isOthers(mailbox) {
		return s.user, mailbox, nil
	}
	shared, ok := s.backend.shared[mailbox]
	if !ok || shared.owner == s.name {
		return nil, "", errNoMailbox
	}
	owner = s.backend.users[shared.owner]
	if _, err := owner.Status(shared.folder, &imap.StatusOptions{}); err != nil {
		return nil, "", errNoMailbox // the owner has deleted or renamed it
	}
	return owner, shared.folder, nil
}

// List writes the user's own mailboxes, and then those that others share.
func (s *session) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	if err := s.UserSession.List(w, ref, patterns, options); err != nil || options.SelectSpecialUse {
		return err
	}
	for _, mailbox := range slices.Sorted(maps.Keys(s.backend.shared)) {
		matches := func(pattern string) bool { return imapserver.MatchList(mailbox, '/', ref, pattern) }
		if !slices.ContainsFunc(patterns, matches) {
			continue
		}
		owner, folder, err := s.find(mailbox)
		subscribed := s.backend.subscriptions.has(s.name, mailbox)
		if err != nil || options.SelectSubscribed && !subscribed {
			continue
		}
		data := &imap.ListData{Mailbox: mailbox, Delim: '/'}
		if subscribed {
			data.Attrs = append(data.Attrs, imap.MailboxAttrSubscribed)
		}
		if options.ReturnStatus != nil {
			if data.Status, err = owner.Status(folder, options.ReturnStatus); err != nil {
				continue
			}
			data.Status.Mailbox = mailbox
		}
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) Namespace() (*imap.NamespaceData, error) {
	data, err := s.UserSession.Namespace()
	if err == nil && len(s.backend.shared) > 0 {
		data.Other = []imap.NamespaceDescriptor{{Prefix: others + "/", Delim: '/'}}
	}
	return data, err
}

func (s *session) Status(mailbox string, options *imap.StatusOptions) (*imap.StatusData, error) {
	owner, folder, err := s.find(mailbox)
	if err != nil {
		return nil, err
	}
	data, err := owner.Status(folder, options)
	if err == nil {
		data.Mailbox = mailbox
	}
	return data, err
}

func (s *session) Append(
	mailbox string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	owner, folder, err := s.find(mailbox)
	if err != nil {
		return nil, err
	}
	return owner.Append(folder, r, options)
}

func (s *session) Create(mailbox string, options *imap.CreateOptions) error {
	if isOthers(mailbox) {
		return errOthers
	}
	return s.UserSession.Create(mailbox, options)
}

func (s *session) Delete(mailbox string) error {
	if isOthers(mailbox) {
		return errOthers
	}
	return s.UserSession.Delete(mailbox)
}

func (s *session) Rename(mailbox, newName string, options *imap.RenameOptions) error {
	if isOthers(mailbox) || isOthers(newName) {
		return errOthers
	}
	return s.UserSession.Rename(mailbox, newName, options)
}

func (s *session) Subscribe(mailbox string) error { return s.subscribe(mailbox, true) }

func (s *session) Unsubscribe(mailbox string) error { return s.subscribe(mailbox, false) }

func (s *session) subscribe(mailbox string, subscribed bool) error {
	switch {
	case isOthers(mailbox):
		if _, _, err := s.find(mailbox); err != nil {
			return err
		}
		s.backend.subscriptions.put(s.name, mailbox, subscribed)
		return nil
	case subscribed:
		return s.UserSession.Subscribe(mailbox)
	default:
		return s.UserSession.Unsubscribe(mailbox)
	}
}
