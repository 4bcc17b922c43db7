package idle

import (
	"context"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/keep"
)

// The commands below wait for the poll of an IDLE that the client has left without DONE. They wait
// for nothing else.

func (s *session) Select(mailbox string, options *imap.SelectOptions) (*imap.SelectData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Select(mailbox, options)
}

func (s *session) Create(mailbox string, options *imap.CreateOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Create(mailbox, options)
}

func (s *session) Delete(mailbox string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Delete(mailbox)
}

func (s *session) Rename(mailbox, newName string, options *imap.RenameOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Rename(mailbox, newName, options)
}

func (s *session) Subscribe(mailbox string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Subscribe(mailbox)
}

func (s *session) Unsubscribe(mailbox string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Unsubscribe(mailbox)
}

func (s *session) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.List(w, ref, patterns, options)
}

func (s *session) Status(mailbox string, options *imap.StatusOptions) (*imap.StatusData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Status(mailbox, options)
}

func (s *session) Append(
	mailbox string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Append(mailbox, r, options)
}

func (s *session) Unselect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Unselect()
}

func (s *session) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Expunge(w, uids)
}

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
	s.mu.Lock()
	defer s.mu.Unlock()
	return keep.Search(ctx, s.Session, kind, criteria, options)
}

func (s *session) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	return s.FetchContext(context.Background(), w, numSet, options)
}

// FetchContext is Fetch with a context for a backend that takes one.
func (s *session) FetchContext(
	ctx context.Context, w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return keep.Fetch(ctx, s.Session, w, numSet, options)
}

func (s *session) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Store(w, numSet, flags, options)
}

func (s *session) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Copy(numSet, dest)
}

func (s *session) Namespace() (*imap.NamespaceData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.(imapserver.SessionNamespace).Namespace()
}

func (s *session) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.(imapserver.SessionMove).Move(w, numSet, dest)
}
