package differential_test

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// While a virtual folder is selected, it contains no messages.

func (v *virtual) Unselect() error {
	if v.opened {
		v.opened = false
		return nil
	}
	return v.SessionIMAP4rev2.Unselect()
}

func (v *virtual) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if v.opened {
		return nil
	}
	return v.SessionIMAP4rev2.Poll(w, allowExpunge)
}

func (v *virtual) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	if v.opened {
		<-stop
		return nil
	}
	return v.SessionIMAP4rev2.Idle(w, stop)
}

func (v *virtual) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	if v.opened {
		return nil
	}
	return v.SessionIMAP4rev2.Expunge(w, uids)
}

func (v *virtual) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	switch {
	case !v.opened:
		return v.SessionIMAP4rev2.Search(kind, criteria, options)
	case kind == imapserver.NumKindUID:
		return &imap.SearchData{All: imap.UIDSet{}}, nil
	default:
		return &imap.SearchData{All: imap.SeqSet{}}, nil
	}
}

func (v *virtual) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	if v.opened {
		return nil
	}
	return v.SessionIMAP4rev2.Fetch(w, numSet, options)
}

func (v *virtual) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	if v.opened {
		return nil
	}
	return v.SessionIMAP4rev2.Store(w, numSet, flags, options)
}

func (v *virtual) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	if v.opened {
		return nil, nil
	}
	data, err := v.SessionIMAP4rev2.Copy(numSet, dest)
	return data, v.into(dest, err)
}

func (v *virtual) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	if v.opened {
		return nil
	}
	return v.into(dest, v.SessionIMAP4rev2.Move(w, numSet, dest))
}
