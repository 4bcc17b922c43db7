package imaptest

import (
	"io"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// Stub is a session without optional interfaces that accepts every login and in which every mailbox
// exists and is empty. Tests embed it and override what they are about.
type Stub struct{}

var _ imapserver.Session = Stub{}

func (Stub) Close() error                                          { return nil }
func (Stub) Login(username, password string) error                 { return nil }
func (Stub) Create(string, *imap.CreateOptions) error              { return nil }
func (Stub) Delete(string) error                                   { return nil }
func (Stub) Rename(_, _ string, _ *imap.RenameOptions) error       { return nil }
func (Stub) Subscribe(string) error                                { return nil }
func (Stub) Unsubscribe(string) error                              { return nil }
func (Stub) Poll(*imapserver.UpdateWriter, bool) error             { return nil }
func (Stub) Unselect() error                                       { return nil }
func (Stub) Expunge(*imapserver.ExpungeWriter, *imap.UIDSet) error { return nil }

func (Stub) Select(string, *imap.SelectOptions) (*imap.SelectData, error) {
	return &imap.SelectData{UIDValidity: 1, UIDNext: 1}, nil
}

func (Stub) List(*imapserver.ListWriter, string, []string, *imap.ListOptions) error { return nil }

func (Stub) Status(mailbox string, _ *imap.StatusOptions) (*imap.StatusData, error) {
	return &imap.StatusData{Mailbox: mailbox}, nil
}

func (Stub) Append(
	_ string, r imap.LiteralReader, _ *imap.AppendOptions,
) (*imap.AppendData, error) {
	_, err := io.Copy(io.Discard, r)
	return nil, err
}

// Idle waits for stop.
func (Stub) Idle(_ *imapserver.UpdateWriter, stop <-chan struct{}) error {
	<-stop
	return nil
}

func (Stub) Search(
	kind imapserver.NumKind, _ *imap.SearchCriteria, _ *imap.SearchOptions,
) (*imap.SearchData, error) {
	if kind == imapserver.NumKindUID {
		return &imap.SearchData{All: imap.UIDSet{}}, nil
	}
	return &imap.SearchData{All: imap.SeqSet{}}, nil
}

func (Stub) Fetch(*imapserver.FetchWriter, imap.NumSet, *imap.FetchOptions) error { return nil }

func (Stub) Store(
	*imapserver.FetchWriter, imap.NumSet, *imap.StoreFlags, *imap.StoreOptions,
) error {
	return nil
}

func (Stub) Copy(imap.NumSet, string) (*imap.CopyData, error) { return nil, nil }
