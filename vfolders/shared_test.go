package vfolders_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

// sharing is a server of some users in memory, who see each other's shared mailboxes as
// #users/OWNER/FOLDER. As with many real servers, neither "#users" nor "#users/OWNER" exists.
type sharing struct {
	users  map[string]*imapmemserver.User
	shared map[string]map[string]bool // folders by owner
}

func (s *sharing) session(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return &sharingSession{server: s, others: make(map[string]*imapmemserver.UserSession)}, nil, nil
}

// sharingSession is a session of one user, whose own mailboxes are those of the session that is
// embedded.
type sharingSession struct {
	*imapmemserver.UserSession
	server *sharing
	name   string
	others map[string]*imapmemserver.UserSession // by owner
	// open is the one that has a mailbox selected, this user's own or another's.
	open *imapmemserver.UserSession
}

func (s *sharingSession) Login(username, password string) error {
	user, ok := s.server.users[username]
	if !ok {
		return imapserver.ErrAuthFailed
	}
	if err := user.Login(username, password); err != nil {
		return err
	}
	s.name, s.UserSession = username, imapmemserver.NewUserSession(user)
	return nil
}

func (s *sharingSession) Close() error {
	if s.open != nil {
		return s.open.Close()
	}
	return nil
}

// at returns the session of a mailbox's owner, and its name there.
func (s *sharingSession) at(mailbox string) (*imapmemserver.UserSession, string) {
	rest, ok := strings.CutPrefix(mailbox, "#users/")
	owner, folder, _ := strings.Cut(rest, "/")
	if !ok || owner == s.name || !s.server.shared[owner][folder] {
		return s.UserSession, mailbox // which has none of that name, if it is not the user's own
	}
	if s.others[owner] == nil {
		s.others[owner] = imapmemserver.NewUserSession(s.server.users[owner])
	}
	return s.others[owner], folder
}

func (s *sharingSession) Select(
	mailbox string, options *imap.SelectOptions,
) (*imap.SelectData, error) {
	session, name := s.at(mailbox)
	data, err := session.Select(name, options)
	if err == nil {
		s.open = session
	}
	return data, err
}

func (s *sharingSession) Unselect() error {
	session := s.open
	s.open = nil
	return session.Unselect()
}

func (s *sharingSession) Status(
	mailbox string, options *imap.StatusOptions,
) (*imap.StatusData, error) {
	session, name := s.at(mailbox)
	data, err := session.Status(name, options)
	if err == nil {
		data.Mailbox = mailbox
	}
	return data, err
}

func (s *sharingSession) Append(
	mailbox string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	session, name := s.at(mailbox)
	return session.Append(name, r, options)
}

// List writes the user's own mailboxes, and then those that others share.
func (s *sharingSession) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	if err := s.UserSession.List(w, ref, patterns, options); err != nil || options.SelectSubscribed ||
		options.SelectSpecialUse {
		return err
	}
	var names []string
	for owner, folders := range s.server.shared {
		for folder := range folders {
			if owner != s.name {
				names = append(names, "#users/"+owner+"/"+folder)
			}
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.ContainsFunc(
			patterns, func(pattern string) bool { return imapserver.MatchList(name, '/', ref, pattern) },
		) {
			continue
		}
		data := &imap.ListData{Mailbox: name, Delim: '/'}
		if options.ReturnStatus != nil {
			data.Status, _ = s.Status(name, options.ReturnStatus)
		}
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return nil
}

func (s *sharingSession) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.open == nil {
		return nil
	}
	return s.open.Poll(w, allowExpunge)
}

func (s *sharingSession) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	if s.open == nil {
		<-stop
		return nil
	}
	return s.open.Idle(w, stop)
}

func (s *sharingSession) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	return s.open.Fetch(w, numSet, options)
}

func (s *sharingSession) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	return s.open.Search(kind, criteria, options)
}

func (s *sharingSession) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	return s.open.Store(w, numSet, flags, options)
}

func (s *sharingSession) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	return s.open.Expunge(w, uids)
}

// Copy and Move work between mailboxes of one user.
func (s *sharingSession) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	name, err := s.sameOwner(dest)
	if err != nil {
		return nil, err
	}
	return s.open.Copy(numSet, name)
}

func (s *sharingSession) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	name, err := s.sameOwner(dest)
	if err != nil {
		return err
	}
	return s.open.Move(w, numSet, name)
}

func (s *sharingSession) sameOwner(dest string) (string, error) {
	if session, name := s.at(dest); session == s.open {
		return name, nil
	}
	if _, err := s.Status(dest, &imap.StatusOptions{}); err != nil {
		return "", &imap.Error{
			Type: imap.StatusResponseTypeNo,
			Code: imap.ResponseCodeTryCreate,
			Text: "No such mailbox",
		}
	}
	return "", &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeCannot,
		Text: "It belongs to somebody else",
	}
}

func newSharing() *sharing {
	return &sharing{
		users: map[string]*imapmemserver.User{
			"karen": imaptest.User(
				"karen", "Work", "Private",
			), "bob": imaptest.User("bob", "Drafts", "Projects/2024"), "eve": imaptest.User("eve"),
		},
		shared: map[string]map[string]bool{"karen": {"INBOX": true, "Work": true}},
	}
}

func TestSharedNamespaces(t *testing.T) {
	server := newSharing()
	c := imaptest.Serve(t, vfolders.Wrap(server.session, &vfolders.Options{Prefixes: []string{
		"#users"},
	})).
		Login("bob", "pass")
	assert.Equal(t, []string{
		`LIST () "/" "Drafts"`, `LIST () "/" INBOX`, `LIST () "/" "Projects/2024"`,
		`LIST (\HasChildren) "/" "#users"`, `LIST (\HasChildren) "/" "#users/karen"`,
		`LIST () "/" "#users/karen/INBOX"`, `LIST () "/" "#users/karen/Work"`,
	}, answer(t, c, `LIST "" *`))
	assert.Equal(
		t, []string{`LIST (\HasChildren) "/" "#users/karen"`}, answer(t, c, `LIST "#users/" %`),
	)
	answer(t, c, "SELECT #users/karen")
	answer(t, c, "SELECT #users/karen/Work")
	answer(t, c, "APPEND #users/karen/Work {4+}\r\na: b")
	assert.Contains(t, answer(t, c, "FETCH 1 FLAGS")[0], "UID 1")
	assert.Equal(
		t, "NO [CANNOT] This folder only holds other folders",
		imaptest.Last(c.Cmd("a MOVE 1 #users/karen")),
	)
	assert.Contains(
		t, answer(t, c, "STATUS #users/karen/Work (MESSAGES)"), `STATUS "#users/karen/Work" (MESSAGES 1)`,
		"it is not lost",
	)
	answer(t, c, "SELECT #users")
	answer(t, c, "SELECT INBOX")
	answer(t, c, "CLOSE")

	// Eve exists, and shares nothing: she is as unknown as somebody who does not exist.
	for _, command := range []string{"SELECT ", "EXAMINE ", "STATUS ", `LIST "" `, "SUBSCRIBE "} {
		text := func(owner string) string {
			if command == "STATUS " {
				return command + "#users/" + owner + " (MESSAGES)"
			}
			return command + "#users/" + owner
		}
		assert.Equal(t, c.Cmd("a "+text("nobody")), c.Cmd("a "+text("eve")))
	}

	server.shared["eve"] = map[string]bool{"INBOX": true}
	answer(t, c, "SELECT #users/eve")
	delete(server.shared, "eve")
	assert.Contains(t, imaptest.Last(c.Cmd("a SELECT #users/eve")), "NO [NONEXISTENT]")
	delete(server.shared, "karen")
	assert.Equal(t, []string{`LIST () "/" "Drafts"`, `LIST () "/" INBOX`}, answer(t, c, `LIST "" %`))
}
