package copymeta

import "github.com/emersion/go-imap/v2"

// A Copier is a session of a backend that can do by itself what the policies say. It is then asked
// to, and nothing is fetched or appended. [Options.MaxMemory] and [Options.MaxBytes] have no
// meaning then.
type Copier interface {
	// CopyMeta copies messages of the selected mailbox to dest, all or none. The set is as for Copy
	// of [imapserver.Session]: sequence numbers or UIDs, possibly with "*" in it, or
	// [imap.SearchRes]; for a MOVE it is the UIDs of messages that were there a moment ago. At
	// least one policy is not [Keep]; the other may be. A message that does not exist is skipped,
	// as by Copy.
	//
	// It returns the UIDs of the sources and of the copies, in the same order, or nil if it does
	// not know them. If nothing was copied it returns nil, or sets that are empty. An error is the
	// client's answer, TRYCREATE among them if there is no dest.
	CopyMeta(numSet imap.NumSet, dest string, date, flags Policy) (*imap.CopyData, error)
}

// An Undoer is a session of a backend that can take messages out of a mailbox that is not selected.
type Undoer interface {
	// Undo removes from the mailbox the messages with these UIDs, all of which the session's own
	// APPENDs, or its CopyMeta, have just reported, with this UIDVALIDITY. It need not tell a
	// client that has not heard of them. If it returns an error, it counts as if nothing had been
	// removed. It is called after an APPEND that failed, never after one that panicked.
	Undo(mailbox string, uidValidity uint32, uids imap.UIDSet) error
}

// undo tells whether the copies are gone. Without data nobody knows which ones they are.
func (s *session) undo(dest string, data *imap.CopyData) bool {
	undoer, ok := s.Session.(Undoer)
	if !ok || data == nil {
		return false
	}
	if err := undoer.Undo(dest, data.UIDValidity, data.DestUIDs); err != nil {
		s.options.logf("copymeta: undo of a copy: %q", err.Error())
		return false
	}
	return true
}
