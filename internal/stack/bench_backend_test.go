package stack_test

import (
	"bytes"
	"fmt"
	"io"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/stack"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

// store is a session whose answers are ready and that takes no lock. So the benchmarks measure the
// server and the packages around the session. A real backend does more, and that part of a command
// does not become slower.
type store struct {
	imaptest.Stub
	mailboxes []imap.ListData
	message   []byte
}

func newStore() *store {
	s := &store{message: bytes.Repeat([]byte("A line of a message.\r\n"), 10<<20/22)}
	for parent := range 100 {
		folder := fmt.Sprintf("Folder %d", parent)
		s.mailboxes = append(s.mailboxes, imap.ListData{Mailbox: folder, Delim: '/'})
		for child := range 99 {
			s.mailboxes = append(
				s.mailboxes, imap.ListData{Mailbox: fmt.Sprintf("%s/%d", folder, child), Delim: '/'},
			)
		}
	}
	return s
}

func (s *store) newSession(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return s, nil, nil
}

// List lists ten mailboxes for one pattern, and all mailboxes for the others.
func (s *store) List(
	w *imapserver.ListWriter, _ string, patterns []string, _ *imap.ListOptions,
) error {
	mailboxes := s.mailboxes
	if patterns[0] == "Folder 0*" {
		mailboxes = mailboxes[:10]
	}
	for i := range mailboxes {
		if err := w.WriteList(&mailboxes[i]); err != nil {
			return err
		}
	}
	return nil
}

// Fetch sends the flags of each message of the range, or the body of the first message.
func (s *store) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	r := numSet.(imap.SeqSet)[0]
	for num := r.Start; num <= r.Stop; num++ {
		m := w.CreateMessage(num)
		if options.Flags {
			m.WriteFlags([]imap.Flag{imap.FlagSeen})
		}
		for _, section := range options.BodySection {
			body := m.WriteBodySection(section, int64(len(s.message)))
			if _, err := body.Write(s.message); err != nil {
				return err
			}
			if err := body.Close(); err != nil {
				return err
			}
		}
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) Search(
	kind imapserver.NumKind, _ *imap.SearchCriteria, _ *imap.SearchOptions,
) (*imap.SearchData, error) {
	if kind == imapserver.NumKindUID {
		return &imap.SearchData{All: imap.UIDSetNum(1, 3, 5, 7, 9)}, nil
	}
	return &imap.SearchData{All: imap.SeqSetNum(1, 3, 5, 7, 9)}, nil
}

func (s *store) Append(
	_ string, r imap.LiteralReader, _ *imap.AppendOptions,
) (*imap.AppendData, error) {
	_, err := io.Copy(io.Discard, r)
	return &imap.AppendData{UIDValidity: 1, UID: 1}, err
}

func (s *store) Copy(imap.NumSet, string) (*imap.CopyData, error) {
	return &imap.CopyData{
		UIDValidity: 1,
		SourceUIDs:  imap.UIDSetNum(1),
		DestUIDs:    imap.UIDSetNum(1),
	}, nil
}

// whole puts all four packages around next. With these options each package handles every command,
// but none delays one.
func whole(next stack.NewSessionFunc) stack.NewSessionFunc {
	options := limits.DefaultOptions()
	for _, limit := range []*int{
		&options.MaxConnections, &options.MaxConnectionsPerIP,
		&options.MaxLoginsPerUser, &options.MaxLoginsPerIP,
		&options.MaxLoginChecks, &options.MaxLoginChecksPerIP,
		&options.MaxFetches, &options.MaxFetchesPerUser,
		&options.MaxSearches, &options.MaxSearchesPerUser,
		&options.MaxCommands, &options.MaxCommandsPerUser,
	} {
		*limit = 100_000
	}
	keep := func(_, _ string) (date, flags copymeta.Policy) { return copymeta.Keep, copymeta.Keep }
	next = copymeta.Wrap(next, &copymeta.Options{PolicyFor: keep})
	next = vfolders.Wrap(next, nil)
	next = idle.Wrap(next, &idle.Options{Mode: idle.Poll})
	return limits.New(options).Wrap(next)
}
