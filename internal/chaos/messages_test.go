package chaos_test

import (
	"context"
	"errors"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// These are the commands of a backendSession that need a mailbox.

// numbered is a message with its sequence number, and its flags at the time of the call to find.
type numbered struct {
	*message
	seqNum uint32
	flags  []imap.Flag
}

// find returns the messages of the set that still exist.
func (s *backendSession) find(numSet imap.NumSet) []numbered {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	var found []numbered
	for i, m := range s.view {
		if !m.gone && contains(numSet, uint32(i+1), m.uid, len(s.view), s.view[len(s.view)-1].uid) {
			found = append(found, numbered{m, uint32(i + 1), slices.Clone(m.flags)})
		}
	}
	return found
}

// contains reports whether the message is in the set, in which 0 means "*", the last message.
func contains(
	numSet imap.NumSet, seqNum uint32, uid imap.UID, lastSeqNum int, lastUID imap.UID,
) bool {
	between := func(n, start, stop, last uint32) bool {
		if start == 0 {
			start = last
		}
		if stop == 0 {
			stop = last
		}
		return min(start, stop) <= n && n <= max(start, stop)
	}
	switch set := numSet.(type) {
	case imap.SeqSet:
		return slices.ContainsFunc(set, func(r imap.SeqRange) bool {
			return between(seqNum, r.Start, r.Stop, uint32(lastSeqNum))
		})
	case imap.UIDSet:
		return slices.ContainsFunc(set, func(r imap.UIDRange) bool {
			return between(uint32(uid), uint32(r.Start), uint32(r.Stop), uint32(lastUID))
		})
	default:
		return false
	}
}

func (s *backendSession) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	return s.FetchContext(context.Background(), w, numSet, options)
}

// FetchContext obeys its context every other time.
func (s *backendSession) FetchContext(
	ctx context.Context, w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	if s.roll(2) == 0 {
		ctx = context.Background()
	}
	for _, m := range s.find(numSet) {
		if err := errors.Join(s.strike(ctx), ctx.Err()); err != nil {
			return err
		}
		response := w.CreateMessage(m.seqNum)
		response.WriteUID(m.uid)
		if options.Flags {
			response.WriteFlags(m.flags)
		}
		if options.InternalDate {
			response.WriteInternalDate(m.date)
		}
		if options.RFC822Size {
			response.WriteRFC822Size(int64(len(m.body)))
		}
		for _, section := range options.BodySection {
			literal := response.WriteBodySection(section, int64(len(m.body)))
			for piece := range slices.Chunk(m.body, 1<<15) {
				s.strikeHard()
				if _, err := literal.Write(piece); err != nil {
					return err // the message stays open, as in imapmemserver
				}
			}
			literal.Close()
		}
		if err := response.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (s *backendSession) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	return s.SearchContext(context.Background(), kind, criteria, options)
}

// SearchContext obeys its context every other time. It finds every message.
func (s *backendSession) SearchContext(
	ctx context.Context, kind imapserver.NumKind, _ *imap.SearchCriteria, _ *imap.SearchOptions,
) (*imap.SearchData, error) {
	if s.roll(2) == 0 {
		ctx = context.Background()
	}
	for range 4 {
		if err := errors.Join(s.strike(ctx), ctx.Err()); err != nil {
			return nil, err
		}
	}
	var seqNums imap.SeqSet
	uids := imap.UIDSet{}
	for _, m := range s.find(imap.SeqSet{imap.SeqRange{Start: 1, Stop: 0}}) {
		seqNums.AddNum(m.seqNum)
		uids.AddNum(m.uid)
	}
	if kind == imapserver.NumKindUID {
		return &imap.SearchData{All: uids}, nil
	}
	return &imap.SearchData{All: seqNums}, nil
}

func (s *backendSession) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, _ *imap.StoreOptions,
) error {
	if err := s.strike(context.Background()); err != nil {
		return err
	}
	s.mark(s.find(numSet), flags)
	if flags.Silent {
		return nil
	}
	return s.Fetch(w, numSet, &imap.FetchOptions{Flags: true})
}

func (s *backendSession) mark(found []numbered, flags *imap.StoreFlags) {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	for _, m := range found {
		kept := slices.DeleteFunc(
			m.flags, func(f imap.Flag) bool { return slices.Contains(flags.Flags, f) },
		)
		if flags.Op != imap.StoreFlagsDel {
			kept = append(kept, flags.Flags...)
		}
		m.message.flags = kept
	}
}

func (s *backendSession) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	if err := s.strike(context.Background()); err != nil {
		return err
	}
	s.remove(func(m *message) bool {
		return slices.Contains(m.flags, imap.FlagDeleted) && (uids == nil || uids.Contains(m.uid))
	})
	return s.writeExpunged(w.WriteExpunge)
}

func (s *backendSession) remove(condemned func(*message) bool) {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	s.removeLocked(condemned)
}

// removeLocked removes messages of the view from the mailbox.
func (s *backendSession) removeLocked(condemned func(*message) bool) {
	m := s.backend.mailboxesLocked(s.user)[s.name]
	for _, seen := range s.view {
		seen.gone = seen.gone || condemned(seen)
	}
	m.messages = slices.DeleteFunc(m.messages, func(m *message) bool { return m.gone })
}

func (s *backendSession) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	return s.copyTo(numSet, dest, false)
}

func (s *backendSession) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	data, err := s.copyTo(numSet, dest, true)
	if err != nil || data == nil {
		return err
	}
	if err := w.WriteCopyData(data); err != nil {
		return err
	}
	return s.writeExpunged(w.WriteExpunge)
}

func (s *backendSession) copyTo(
	numSet imap.NumSet, dest string, remove bool,
) (*imap.CopyData, error) {
	if err := s.strike(context.Background()); err != nil {
		return nil, err
	}
	found := s.find(numSet)
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	m, err := s.destinationLocked(dest)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	data := &imap.CopyData{UIDValidity: m.validity}
	for _, source := range found {
		added := m.add(&message{body: source.body, date: source.date, flags: source.flags})
		data.SourceUIDs.AddNum(source.uid)
		data.DestUIDs.AddNum(added.UID)
	}
	if remove {
		s.removeLocked(func(m *message) bool {
			return slices.ContainsFunc(found, func(n numbered) bool { return n.message == m })
		})
	}
	return data, nil
}
