package mailserver

import (
	"context"
	"flag"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/limits"
)

// delays makes a backend in memory as slow as one with real disks and real password hashes.
type delays struct{ query, command, login time.Duration }

func (d *delays) flags(flags *flag.FlagSet) {
	durationFlag(flags, &d.query, "delay", "`time` that every FETCH and SEARCH of the backend takes")
	durationFlag(
		flags, &d.command, "command-delay",
		"`time` that every other command of the backend takes, such as SELECT, STATUS and APPEND",
	)
	durationFlag(flags, &d.login, "login-delay", "`time` that every password check takes")
}

func (d delays) wrap(next limits.NewSessionFunc) limits.NewSessionFunc {
	if d == (delays{}) {
		return next
	}
	return func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		inner, greeting, err := next(conn)
		if err != nil {
			return inner, greeting, err
		}
		return &delayed{inner.(imapserver.SessionIMAP4rev2), d}, greeting, nil
	}
}

// delayed is the backend as far as package limits can see. It has FetchContext and SearchContext,
// so that a delay ends when its command has to.
type delayed struct {
	imapserver.SessionIMAP4rev2
	delays delays
}

var (
	_ limits.ContextFetcher  = (*delayed)(nil)
	_ limits.ContextSearcher = (*delayed)(nil)
)

func (s *delayed) Login(username, password string) error {
	time.Sleep(s.delays.login)
	return s.SessionIMAP4rev2.Login(username, password)
}

func (s *delayed) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	return s.FetchContext(context.Background(), w, numSet, options)
}

// FetchContext gives up when the context ends before the delay is over.
func (s *delayed) FetchContext(
	ctx context.Context, w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	if err := pause(ctx, s.delays.query); err != nil {
		return err
	}
	return s.SessionIMAP4rev2.Fetch(w, numSet, options)
}

func (s *delayed) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	return s.SearchContext(context.Background(), kind, criteria, options)
}

// SearchContext gives up when the context ends before the delay is over.
func (s *delayed) SearchContext(
	ctx context.Context, kind imapserver.NumKind, criteria *imap.SearchCriteria,
	options *imap.SearchOptions,
) (*imap.SearchData, error) {
	if err := pause(ctx, s.delays.query); err != nil {
		return nil, err
	}
	return s.SessionIMAP4rev2.Search(kind, criteria, options)
}

// The other commands cannot be stopped. NOOP and IDLE are not delayed, nor is the news that comes
// with every answer.

func (s *delayed) Select(mailbox string, options *imap.SelectOptions) (*imap.SelectData, error) {
	time.Sleep(s.delays.command)
	return s.SessionIMAP4rev2.Select(mailbox, options)
}

func (s *delayed) Create(mailbox string, options *imap.CreateOptions) error {
	time.Sleep(s.delays.command)
	return s.SessionIMAP4rev2.Create(mailbox, options)
}

func (s *delayed) Delete(mailbox string) error {
	time.Sleep(s.delays.command)
	return s.SessionIMAP4rev2.Delete(mailbox)
}

func (s *delayed) Rename(mailbox, newName string, options *imap.RenameOptions) error {
	time.Sleep(s.delays.command)
	return s.SessionIMAP4rev2.Rename(mailbox, newName, options)
}

func (s *delayed) Subscribe(mailbox string) error {
	time.Sleep(s.delays.command)
	return s.SessionIMAP4rev2.Subscribe(mailbox)
}

func (s *delayed) Unsubscribe(mailbox string) error {
	time.Sleep(s.delays.command)
	return s.SessionIMAP4rev2.Unsubscribe(mailbox)
}

func (s *delayed) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	time.Sleep(s.delays.command)
	return s.SessionIMAP4rev2.List(w, ref, patterns, options)
}

func (s *delayed) Namespace() (*imap.NamespaceData, error) {
	time.Sleep(s.delays.command)
	return s.SessionIMAP4rev2.Namespace()
}

func (s *delayed) Status(mailbox string, options *imap.StatusOptions) (*imap.StatusData, error) {
	time.Sleep(s.delays.command)
	return s.SessionIMAP4rev2.Status(mailbox, options)
}

func (s *delayed) Append(
	mailbox string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	time.Sleep(s.delays.command)
	return s.SessionIMAP4rev2.Append(mailbox, r, options)
}

func (s *delayed) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	time.Sleep(s.delays.command)
	return s.SessionIMAP4rev2.Store(w, numSet, flags, options)
}

func (s *delayed) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	time.Sleep(s.delays.command)
	return s.SessionIMAP4rev2.Expunge(w, uids)
}

func (s *delayed) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	time.Sleep(s.delays.command)
	return s.SessionIMAP4rev2.Copy(numSet, dest)
}

func (s *delayed) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	time.Sleep(s.delays.command)
	return s.SessionIMAP4rev2.Move(w, numSet, dest)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
