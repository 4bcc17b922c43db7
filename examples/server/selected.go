package main

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// selected is a selected mailbox: a session of its owner that has it selected and nothing else to
// do. A session holds it atomically, and leaves it without changing it, because a client that
// breaks IDLE off runs its next command while Idle may not have begun.
type selected struct {
	*imapmemserver.UserSession
	owner *imapmemserver.User
}

func (s *session) Select(mailbox string, options *imap.SelectOptions) (*imap.SelectData, error) {
	owner, folder, err := s.find(mailbox)
	if err != nil {
		return nil, err
	}
	view := &selected{imapmemserver.NewUserSession(owner), owner}
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

func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	if view := s.selected.Load(); view != nil {
		return view.Idle(w, stop)
	}
	<-stop
	return nil
}

func (s *session) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	return s.selected.Load().Fetch(w, numSet, options)
}

func (s *session) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	return s.selected.Load().Search(kind, criteria, options)
}

func (s *session) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	return s.selected.Load().Store(w, numSet, flags, options)
}

func (s *session) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	return s.selected.Load().Expunge(w, uids)
}

// Copy copies to a mailbox of the same owner. Of a copy to another owner only the question whether
// there is such a mailbox comes here: see sessions.
func (s *session) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	owner, folder, err := s.find(dest)
	if err != nil {
		return nil, err
	}
	if owner != s.selected.Load().owner {
		if _, err := owner.Status(folder, &imap.StatusOptions{}); err != nil {
			return nil, errTryCreate
		}
		return nil, nil
	}
	data, err := s.selected.Load().Copy(numSet, folder)
	if err == nil && len(data.DestUIDs) == 0 {
		return nil, nil // of empty sets go-imap writes half a line
	}
	return data, err
}

// Move moves to a mailbox of the same owner. All others go another way: see sessions.
func (s *session) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	owner, folder, err := s.find(dest)
	if err != nil {
		return err
	}
	if owner != s.selected.Load().owner {
		return errOthers
	}
	return s.selected.Load().Move(w, numSet, folder)
}
