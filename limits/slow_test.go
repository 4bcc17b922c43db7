package limits_test

import (
	"io"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// slow is a session that does the same for each command, except EXAMINE of INBOX.
type slow struct {
	imaptest.Stub
	do func() error
}

// newSlow makes sessions whose commands take a minute each.
func newSlow(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return slow{do: func() error {
		time.Sleep(time.Minute)
		return nil
	}}, nil, nil
}

func (s slow) Select(name string, options *imap.SelectOptions) (*imap.SelectData, error) {
	data := &imap.SelectData{UIDValidity: 1, UIDNext: 1}
	if options.ReadOnly && name == "INBOX" {
		return data, nil
	}
	return data, s.do()
}

func (s slow) Status(mailbox string, _ *imap.StatusOptions) (*imap.StatusData, error) {
	return &imap.StatusData{Mailbox: mailbox, NumMessages: new(uint32)}, s.do()
}

func (s slow) Append(
	_ string, r imap.LiteralReader, _ *imap.AppendOptions,
) (*imap.AppendData, error) {
	io.Copy(io.Discard, r)
	return nil, s.do()
}

func (s slow) Search(
	imapserver.NumKind, *imap.SearchCriteria, *imap.SearchOptions,
) (*imap.SearchData, error) {
	return &imap.SearchData{All: imap.UIDSet{}}, s.do()
}

func (s slow) Store(
	*imapserver.FetchWriter, imap.NumSet, *imap.StoreFlags, *imap.StoreOptions,
) error {
	return s.do()
}

func (s slow) List(*imapserver.ListWriter, string, []string, *imap.ListOptions) error {
	return s.do()
}
func (s slow) Fetch(*imapserver.FetchWriter, imap.NumSet, *imap.FetchOptions) error {
	return s.do()
}
func (s slow) Copy(imap.NumSet, string) (*imap.CopyData, error)       { return nil, s.do() }
func (s slow) Move(*imapserver.MoveWriter, imap.NumSet, string) error { return s.do() }
func (s slow) Expunge(*imapserver.ExpungeWriter, *imap.UIDSet) error  { return s.do() }
func (s slow) Create(string, *imap.CreateOptions) error               { return s.do() }
func (s slow) Delete(string) error                                    { return s.do() }
func (s slow) Rename(_, _ string, _ *imap.RenameOptions) error        { return s.do() }
func (s slow) Subscribe(string) error                                 { return s.do() }
func (s slow) Unsubscribe(string) error                               { return s.do() }

func (s slow) Namespace() (*imap.NamespaceData, error) {
	return &imap.NamespaceData{}, s.do()
}
