package vfolders

import (
	"context"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/keep"
	"github.com/imapgate/imapgate/internal/layers"
)

const (
	// uidValidity is the same for all virtual folders and for ever. A client that had a real mailbox
	// of that name with another value, or finds one later, sees that it is another one, and does not
	// take messages for deleted (RFC 9051 section 2.3.1.1). So it is neither small, as counters are,
	// nor a Unix time, but that of one second of 2038; it is above those, and below 1<<31, because
	// some clients have signed integers.
	uidValidity = 1<<31 - 2
	uidNext     = 1
)

// Select opens a mailbox of the backend, or else a virtual folder.
func (s *session) Select(mailbox string, options *imap.SelectOptions) (*imap.SelectData, error) {
	data, err := s.Session.Select(mailbox, options)
	found, err := s.toOpen(mailbox, err)
	if found == nil {
		return data, err
	}
	s.virtual.Store(true)
	if !options.ReadOnly {
		s.sayReadOnly()
	}
	data = &imap.SelectData{
		Flags: []imap.Flag{
			imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagSeen, imap.FlagDraft,
		},
		UIDNext:     uidNext,
		UIDValidity: uidValidity,
	}
	if s.conn.EnabledCaps().Has(imap.CapIMAP4rev2) {
		data.List = &imap.ListData{
			Mailbox: mailbox,
			Delim:   found.delim,
			Attrs:   []imap.MailboxAttr{imap.MailboxAttrHasChildren},
		}
		if !found.hasChildren {
			data.List.Attrs[0] = imap.MailboxAttrHasNoChildren
		}
	}
	return data, nil
}

// sayReadOnly makes the OK of this SELECT say READ-ONLY (RFC 3501 section 6.3.1), where the
// connection can do that: the server says READ-WRITE, whatever a session returns.
func (s *session) sayReadOnly() {
	if conn, ok := layers.Find[readOnlyConn](s.conn.NetConn()); ok {
		conn.ReadOnlyNext()
	}
}

// readOnlyConn is a connection that puts the code READ-ONLY into the next tagged answer if that is
// an OK that says READ-WRITE.
type readOnlyConn interface{ ReadOnlyNext() }

// Status asks the backend, or else tells that a virtual folder is empty.
func (s *session) Status(mailbox string, options *imap.StatusOptions) (*imap.StatusData, error) {
	data, err := s.Session.Status(mailbox, options)
	found, err := s.toOpen(mailbox, err)
	if found == nil {
		return data, err
	}
	return emptyStatus(mailbox), nil
}

// emptyStatus has all items. The limit of APPEND is zero too: none succeeds.
func emptyStatus(mailbox string) *imap.StatusData {
	return &imap.StatusData{
		Mailbox:        mailbox,
		NumMessages:    new(uint32),
		NumRecent:      new(uint32),
		UIDNext:        uidNext,
		UIDValidity:    uidValidity,
		NumUnseen:      new(uint32),
		NumDeleted:     new(uint32),
		Size:           new(int64),
		AppendLimit:    new(uint32),
		DeletedStorage: new(int64),
	}
}

// Unselect closes what is selected.
func (s *session) Unselect() error {
	if s.virtual.CompareAndSwap(true, false) {
		return nil
	}
	return s.Session.Unselect()
}

// Unauthenticate logs out. The server does not call Unselect before.
func (s *session) Unauthenticate() error {
	if err := s.Session.(imapserver.SessionUnauthenticate).Unauthenticate(); err != nil {
		return err
	}
	s.virtual.Store(false)
	return nil
}

// Poll has no news of a virtual folder.
func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.virtual.Load() {
		return nil
	}
	return s.Session.Poll(w, allowExpunge)
}

// Idle has no news of a virtual folder, and waits.
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	if s.virtual.Load() {
		<-stop
		return nil
	}
	return s.Session.Idle(w, stop)
}

// Expunge finds nothing in a virtual folder.
func (s *session) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	if s.virtual.Load() {
		return nil
	}
	return s.Session.Expunge(w, uids)
}

// Search finds nothing in a virtual folder.
func (s *session) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	return s.SearchContext(context.Background(), kind, criteria, options)
}

// SearchContext is Search with a context for a backend that takes one.
func (s *session) SearchContext(
	ctx context.Context, kind imapserver.NumKind, criteria *imap.SearchCriteria,
	options *imap.SearchOptions,
) (*imap.SearchData, error) {
	if !s.virtual.Load() {
		return keep.Search(ctx, s.Session, kind, criteria, options)
	}
	if kind == imapserver.NumKindUID {
		return &imap.SearchData{All: imap.UIDSet{}}, nil
	}
	return &imap.SearchData{All: imap.SeqSet{}}, nil
}

// Fetch finds nothing in a virtual folder.
func (s *session) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	return s.FetchContext(context.Background(), w, numSet, options)
}

// FetchContext is Fetch with a context for a backend that takes one.
func (s *session) FetchContext(
	ctx context.Context, w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	if s.virtual.Load() {
		return nil
	}
	return keep.Fetch(ctx, s.Session, w, numSet, options)
}

// Store finds nothing in a virtual folder.
func (s *session) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	if s.virtual.Load() {
		return nil
	}
	return s.Session.Store(w, numSet, flags, options)
}
