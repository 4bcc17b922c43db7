package limits

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// beginCommand notes that the command has arrived, and waits for a slot for it. endCommand must be
// called in any case. An error is the answer to the command, and the backend must not be asked.
func (s *session) beginCommand(t *turn, command string) error {
	s.activity.begin(command)
	s.limiter.stalls.watch(s.limiter)
	t.command = command
	return s.enter(t, &s.limiter.commands)
}

func (s *session) endCommand(t *turn) {
	s.exit(t)
	s.activity.finish()
}

// The commands that never wait:

// Poll notes that the client is not silent. The server polls after most commands, also after NOOP.
func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	s.activity.finish()
	return s.Session.Poll(w, allowExpunge)
}

// Idle notes that the client is in IDLE, until IDLE is over.
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	s.activity.addIdle(1)
	defer s.activity.addIdle(-1)
	err := s.Session.Idle(w, stop)
	<-stop // for the client, IDLE goes on even if the backend returns early
	return err
}

// Unselect forgets the mailbox. It does not wait: the server calls it at the beginning of a SELECT,
// which waits itself, and closing a mailbox makes less work, not more.
func (s *session) Unselect() error {
	s.mailbox = mailbox{}
	return s.Session.Unselect()
}

// And those that wait for a slot:

// Select remembers the mailbox, as equal SEARCHes must be in the same one.
func (s *session) Select(name string, options *imap.SelectOptions) (*imap.SelectData, error) {
	var turn turn
	defer s.endCommand(&turn)
	s.mailbox = mailbox{}
	command := "SELECT"
	if options.ReadOnly {
		command = "EXAMINE"
	}
	if err := s.beginCommand(&turn, command); err != nil {
		return nil, err
	}
	data, err := s.Session.Select(name, options)
	if err == nil && data != nil {
		s.mailbox = mailbox{name: name, uidValidity: data.UIDValidity}
	}
	return data, err
}

func (s *session) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	var turn turn
	defer s.endCommand(&turn)
	if err := s.beginCommand(&turn, "COPY"); err != nil {
		return nil, err
	}
	return s.Session.Copy(numSet, dest)
}

func (s *session) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	var turn turn
	defer s.endCommand(&turn)
	if err := s.beginCommand(&turn, "MOVE"); err != nil {
		return err
	}
	return s.Session.(imapserver.SessionMove).Move(w, numSet, dest)
}

func (s *session) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	var turn turn
	defer s.endCommand(&turn)
	if err := s.beginCommand(&turn, "STORE"); err != nil {
		return err
	}
	return s.Session.Store(w, numSet, flags, options)
}

func (s *session) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	var turn turn
	defer s.endCommand(&turn)
	if err := s.beginCommand(&turn, "EXPUNGE"); err != nil {
		return err
	}
	return s.Session.Expunge(w, uids)
}

func (s *session) Status(mailbox string, options *imap.StatusOptions) (*imap.StatusData, error) {
	var turn turn
	defer s.endCommand(&turn)
	if err := s.beginCommand(&turn, "STATUS"); err != nil {
		return nil, err
	}
	return s.Session.Status(mailbox, options)
}

func (s *session) Namespace() (*imap.NamespaceData, error) {
	var turn turn
	defer s.endCommand(&turn)
	if err := s.beginCommand(&turn, "NAMESPACE"); err != nil {
		return nil, err
	}
	return s.Session.(imapserver.SessionNamespace).Namespace()
}

func (s *session) Create(mailbox string, options *imap.CreateOptions) error {
	var turn turn
	defer s.endCommand(&turn)
	if err := s.checkName("CREATE", mailbox); err != nil {
		return err
	}
	if err := s.beginCommand(&turn, "CREATE"); err != nil {
		return err
	}
	return s.Session.Create(mailbox, options)
}

// checkName refuses a name that is too long for a new mailbox.
func (s *session) checkName(command, mailbox string) error {
	most := s.limiter.settings.Load().MaxMailboxName
	if most == 0 || len(mailbox) <= most || s.limits.Load().exempt {
		return nil
	}
	if s.refuse(Event{Command: command, User: s.user}, s.reached(maxMailboxName)) {
		return ErrMailboxName
	}
	return nil
}

func (s *session) Delete(mailbox string) error {
	var turn turn
	defer s.endCommand(&turn)
	if err := s.beginCommand(&turn, "DELETE"); err != nil {
		return err
	}
	return s.Session.Delete(mailbox)
}

func (s *session) Rename(mailbox, newName string, options *imap.RenameOptions) error {
	var turn turn
	defer s.endCommand(&turn)
	if err := s.checkName("RENAME", newName); err != nil {
		return err
	}
	if err := s.beginCommand(&turn, "RENAME"); err != nil {
		return err
	}
	return s.Session.Rename(mailbox, newName, options)
}

func (s *session) Subscribe(mailbox string) error {
	var turn turn
	defer s.endCommand(&turn)
	if err := s.beginCommand(&turn, "SUBSCRIBE"); err != nil {
		return err
	}
	return s.Session.Subscribe(mailbox)
}

func (s *session) Unsubscribe(mailbox string) error {
	var turn turn
	defer s.endCommand(&turn)
	if err := s.beginCommand(&turn, "UNSUBSCRIBE"); err != nil {
		return err
	}
	return s.Session.Unsubscribe(mailbox)
}
