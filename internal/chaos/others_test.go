package chaos_test

import (
	"errors"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/limits"
)

// arrive notes that a command other than FETCH and SEARCH has come. The caller passes its error to
// answered before it returns.
func (s *outside) arrive(command string) (answered func(err error)) {
	a := s.witness.arrive(s.ip, otherTimeout)
	s.command = a
	return func(err error) {
		s.command = nil
		if !a.inside {
			s.witness.endWait(a, command, 0)
		}
		if errors.Is(err, limits.ErrTooManyCommands) {
			s.witness.refuse(s.stay(a), command)
		}
	}
}

func (s *outside) Select(
	name string, options *imap.SelectOptions,
) (_ *imap.SelectData, err error) {
	s.name = name
	answered := s.arrive("SELECT")
	defer func() { answered(err) }()
	return s.Session.Select(name, options)
}

func (s *outside) Status(
	name string, options *imap.StatusOptions,
) (_ *imap.StatusData, err error) {
	answered := s.arrive("STATUS")
	defer func() { answered(err) }()
	return s.Session.Status(name, options)
}

func (s *outside) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) (err error) {
	answered := s.arrive("LIST")
	defer func() { answered(err) }()
	return s.Session.List(w, ref, patterns, options)
}

func (s *outside) Append(
	name string, r imap.LiteralReader, options *imap.AppendOptions,
) (_ *imap.AppendData, err error) {
	answered := s.arrive("APPEND")
	defer func() { answered(err) }()
	return s.Session.Append(name, r, options)
}

func (s *outside) Copy(numSet imap.NumSet, dest string) (_ *imap.CopyData, err error) {
	answered := s.arrive("COPY")
	defer func() { answered(err) }()
	return s.Session.Copy(numSet, dest)
}

func (s *outside) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) (err error) {
	answered := s.arrive("MOVE")
	defer func() { answered(err) }()
	return s.Session.(imapserver.SessionMove).Move(w, numSet, dest)
}

func (s *outside) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) (err error) {
	answered := s.arrive("STORE")
	defer func() { answered(err) }()
	return s.Session.Store(w, numSet, flags, options)
}

func (s *outside) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) (err error) {
	answered := s.arrive("EXPUNGE")
	defer func() { answered(err) }()
	return s.Session.Expunge(w, uids)
}

// enter notes that such a command runs until leave is called.
func (s *inside) enter(command string) (leave func()) {
	s.command.inside = true
	s.witness.endWait(s.command, command, 0)
	return s.witness.enter(&s.witness.others, s.stay(s.command))
}

func (s *inside) Select(name string, options *imap.SelectOptions) (*imap.SelectData, error) {
	defer s.enter("SELECT")()
	return s.Session.Select(name, options)
}

func (s *inside) Status(name string, options *imap.StatusOptions) (*imap.StatusData, error) {
	defer s.enter("STATUS")()
	return s.Session.Status(name, options)
}

func (s *inside) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	defer s.enter("LIST")()
	return s.Session.List(w, ref, patterns, options)
}

func (s *inside) Append(
	name string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	defer s.enter("APPEND")()
	return s.Session.Append(name, r, options)
}

func (s *inside) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	defer s.enter("COPY")()
	return s.Session.Copy(numSet, dest)
}

func (s *inside) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	defer s.enter("MOVE")()
	return s.Session.(imapserver.SessionMove).Move(w, numSet, dest)
}

func (s *inside) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	defer s.enter("STORE")()
	return s.Session.Store(w, numSet, flags, options)
}

func (s *inside) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	defer s.enter("EXPUNGE")()
	return s.Session.Expunge(w, uids)
}
