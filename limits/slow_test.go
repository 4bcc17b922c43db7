package limits_test

import (
	"io"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// slow is a session whose commands take a minute each, EXAMINE apart.
type slow struct{ imaptest.Stub }

func newSlow(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return slow{}, nil, nil
}

func (slow) minute() error {
	time.Sleep(time.Minute)
	return nil
}

func (s slow) Select(_ string, options *imap.SelectOptions) (*imap.SelectData, error) {
	if !options.ReadOnly {
		s.minute()
	}
	return &imap.SelectData{UIDValidity: 1, UIDNext: 1}, nil
}

func (s slow) Status(mailbox string, _ *imap.StatusOptions) (*imap.StatusData, error) {
	return &imap.StatusData{Mailbox: mailbox, NumMessages: new(uint32)}, s.minute()
}

func (s slow) Append(
	_ string, r imap.LiteralReader, _ *imap.AppendOptions,
) (*imap.AppendData, error) {
	io.Copy(io.Discard, r)
	return nil, s.minute()
}

func (s slow) Search(
	imapserver.NumKind, *imap.SearchCriteria, *imap.SearchOptions,
) (*imap.SearchData, error) {
	return &imap.SearchData{All: imap.UIDSet{}}, s.minute()
}

func (s slow) Store(
	*imapserver.FetchWriter, imap.NumSet, *imap.StoreFlags, *imap.StoreOptions,
) error {
	return s.minute()
}

func (s slow) List(*imapserver.ListWriter, string, []string, *imap.ListOptions) error {
	return s.minute()
}
func (s slow) Fetch(*imapserver.FetchWriter, imap.NumSet, *imap.FetchOptions) error {
	return s.minute()
}
func (s slow) Copy(imap.NumSet, string) (*imap.CopyData, error)       { return nil, s.minute() }
func (s slow) Move(*imapserver.MoveWriter, imap.NumSet, string) error { return s.minute() }
func (s slow) Expunge(*imapserver.ExpungeWriter, *imap.UIDSet) error  { return s.minute() }
func (s slow) Create(string, *imap.CreateOptions) error               { return s.minute() }
func (s slow) Delete(string) error                                    { return s.minute() }
func (s slow) Rename(_, _ string, _ *imap.RenameOptions) error        { return s.minute() }
