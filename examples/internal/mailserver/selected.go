package mailserver

import (
	"context"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// selected is a selected mailbox: a session of its owner that has selected it. It never changes. A
// session swaps it atomically, because when a client breaks an IDLE off, the next command may run
// before Idle begins.
type selected struct {
	*imapmemserver.UserSession
	owner    *imapmemserver.User
	readOnly bool // by EXAMINE, of which imapmemserver takes no notice
}

var errReadOnly = no("", "The mailbox is read-only")

func (s *session) Select(mailbox string, options *imap.SelectOptions) (*imap.SelectData, error) {
	owner, folder, err := s.find(mailbox)
	if err != nil {
		return nil, err
	}
	view := &selected{imapmemserver.NewUserSession(owner), owner, options.ReadOnly}
	data, err := view.Select(folder, options)
	if err == nil {
		s.selected.Store(view)
	}
	return data, err
}

func (s *session) Unselect() error { return s.selected.Swap(nil).Close() }

func (s *session) Close() error {
	if view := s.selected.Load(); view != nil {
		return view.Close()
	}
	return nil
}

func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if view := s.selected.Load(); view != nil {
		return view.Poll(w, allowExpunge)
	}
	return nil
}

// Idle also looks for news every second. What came just before imapmemserver began to listen, it
// does not tell before more comes.
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	view := s.selected.Load()
	if view == nil {
		<-stop
		return nil
	}
	for {
		if err := view.Poll(w, true); err != nil {
			return err
		}
		round, end := context.WithTimeout(context.Background(), time.Second)
		go func() {
			defer end()
			select {
			case <-stop:
			case <-round.Done():
			}
		}()
		if err := view.Idle(w, round.Done()); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		default:
		}
	}
}

// Fetch marks nothing as read in a mailbox that was opened by EXAMINE.
func (s *session) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	view := s.selected.Load()
	if view.readOnly {
		for _, section := range options.BodySection {
			section.Peek = true
		}
	}
	known, err := view.known(numSet)
	if err != nil {
		return err
	}
	return view.Fetch(w, known, options)
}

// known leaves out the UIDs of messages that the client has not been told of yet. imapmemserver
// would answer with the number 0 for them.
func (v *selected) known(numSet imap.NumSet) (imap.NumSet, error) {
	uids, ok := numSet.(imap.UIDSet)
	if !ok {
		return numSet, nil
	}
	criteria := &imap.SearchCriteria{UID: []imap.UIDSet{uids}}
	data, err := v.Search(imapserver.NumKindSeq, criteria, &imap.SearchOptions{})
	if err != nil {
		return nil, err
	}
	return data.All, nil
}

func (s *session) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	return s.selected.Load().Search(kind, criteria, options)
}

func (s *session) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	view := s.selected.Load()
	if view.readOnly {
		return errReadOnly
	}
	known, err := view.known(numSet)
	if err != nil {
		return err
	}
	return view.Store(w, known, flags, options)
}

// Expunge is also called for CLOSE, which must not fail (RFC 9051 section 6.4.1). Its writer is the
// zero one, which writes nothing.
func (s *session) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	view := s.selected.Load()
	switch {
	case !view.readOnly:
		return view.Expunge(w, uids)
	case *w == imapserver.ExpungeWriter{}:
		return nil
	default:
		return errReadOnly
	}
}

// Copy copies to a mailbox of the same owner. For another owner it is only called to find out
// whether there is such a mailbox: see sessions.
func (s *session) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	owner, folder, err := s.find(dest)
	if err != nil {
		return nil, err
	}
	view := s.selected.Load()
	if owner != view.owner {
		if _, err := owner.Status(folder, &imap.StatusOptions{}); err != nil {
			return nil, errTryCreate
		}
		return nil, nil
	}
	data, err := view.Copy(numSet, folder)
	if err == nil && len(data.DestUIDs) == 0 {
		return nil, nil // of empty sets go-imap writes half a line
	}
	return data, err
}

// Move moves to a mailbox of the same owner. For other owners see sessions.
func (s *session) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	view := s.selected.Load()
	owner, folder, err := s.find(dest)
	switch {
	case err != nil:
		return err
	case view.readOnly:
		return errReadOnly
	case owner != view.owner:
		return errOthers
	}
	data, err := s.backend.move(view, numSet, folder)
	if err != nil || len(data.DestUIDs) == 0 {
		return err
	}
	return w.WriteCopyData(data)
}

// move copies and expunges. imapmemserver's own Move tells the client of each EXPUNGE twice, with
// different numbers; here only Poll does. There is one move at a time, so that no two sessions copy
// the same message.
func (b *backend) move(
	view *selected, numSet imap.NumSet, folder string,
) (*imap.CopyData, error) {
	b.moving.Lock()
	defer b.moving.Unlock()
	data, err := view.Copy(numSet, folder)
	if err != nil {
		return nil, err
	}
	deleted := &imap.StoreFlags{
		Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted},
	}
	if err := view.Store(nil, data.SourceUIDs, deleted, &imap.StoreOptions{}); err != nil {
		return nil, err
	}
	return data, view.Expunge(nil, &data.SourceUIDs)
}
