package limits

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// Poll notes that the client is not silent: the server polls after most commands, NOOP among them.
func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	s.activity.end()
	return s.Session.Poll(w, allowExpunge)
}

// Idle notes that the client is in IDLE, and returns when it is so no more.
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	s.activity.addIdle(1)
	defer s.activity.addIdle(-1)
	err := s.Session.Idle(w, stop)
	<-stop // to the client IDLE goes on when the backend has had enough
	return err
}

// running notes that the client has sent the command, until the returned function is called.
func (s *session) running(command string) (end func()) {
	s.activity.begin(command)
	return s.activity.end
}

// Select remembers the mailbox, by which SEARCHes are known to be the same.
func (s *session) Select(name string, options *imap.SelectOptions) (*imap.SelectData, error) {
	defer s.running("SELECT")()
	s.mailbox = mailbox{}
	data, err := s.Session.Select(name, options)
	if err == nil && data != nil {
		s.mailbox = mailbox{name, data.UIDValidity}
	}
	return data, err
}

// Unselect forgets the mailbox.
func (s *session) Unselect() error {
	s.mailbox = mailbox{}
	return s.Session.Unselect()
}

// The commands below are only noted as going on: while one runs, the session is not idle.

func (s *session) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	defer s.running("COPY")()
	return s.Session.Copy(numSet, dest)
}

func (s *session) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	defer s.running("MOVE")()
	return s.Session.(imapserver.SessionMove).Move(w, numSet, dest)
}

func (s *session) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	defer s.running("STORE")()
	return s.Session.Store(w, numSet, flags, options)
}

func (s *session) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	defer s.running("EXPUNGE")()
	return s.Session.Expunge(w, uids)
}

func (s *session) Status(mailbox string, options *imap.StatusOptions) (*imap.StatusData, error) {
	defer s.running("STATUS")()
	return s.Session.Status(mailbox, options)
}

func (s *session) Create(mailbox string, options *imap.CreateOptions) error {
	defer s.running("CREATE")()
	return s.Session.Create(mailbox, options)
}

func (s *session) Delete(mailbox string) error {
	defer s.running("DELETE")()
	return s.Session.Delete(mailbox)
}

func (s *session) Rename(mailbox, newName string, options *imap.RenameOptions) error {
	defer s.running("RENAME")()
	return s.Session.Rename(mailbox, newName, options)
}
