package mailserver

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/limits"
)

// others is the name above all folders that others share with a user. Neither it nor what is
// directly below it is a mailbox. Many real servers do it so, and leave it to clients or to package
// vfolders.
const others = "#users"

// sharedFolder is a folder that every other user sees, and may change.
type sharedFolder struct{ owner, folder string }

func (f sharedFolder) String() string { return f.owner + ":" + f.folder }

// name returns what the others call it.
func (f sharedFolder) name() string { return others + "/" + f.owner + "/" + f.folder }

func parseShared(text string) (sharedFolder, error) {
	owner, folder, _ := strings.Cut(text, ":")
	if owner == "" || folder == "" {
		return sharedFolder{}, errors.New("it takes owner:folder, such as karen:INBOX")
	}
	if strings.EqualFold(folder, "INBOX") {
		folder = "INBOX"
	}
	return sharedFolder{owner, folder}, nil
}

var (
	errNoUser   = errors.New("-users has no such user")
	errNoFolder = errors.New("the owner has no such folder, which are " + strings.Join(folders, ", "))
)

// share lets all users see the folders.
func (b *backend) share(all []sharedFolder) error {
	b.shared = make(map[string]sharedFolder)
	for _, f := range all {
		switch {
		case b.users[f.owner] == nil:
			return wrongValue("shared", f.String(), errNoUser)
		case !slices.Contains(folders, f.folder):
			return wrongValue("shared", f.String(), errNoFolder)
		}
		b.shared[f.name()] = f
	}
	return nil
}

// sessions returns the NewSession function of the backend. It adds COPY and MOVE from one user to
// another, which imapmemserver does not have.
func (b *backend) sessions(logger imapserver.Logger) limits.NewSessionFunc {
	if len(b.shared) == 0 {
		return b.NewSession
	}
	return copymeta.Wrap(
		b.NewSession, &copymeta.Options{PolicyFor: b.copyPolicy, Move: true, Logger: logger},
	)
}

// copyPolicy makes copymeta fetch and append the messages that go to another owner.
func (b *backend) copyPolicy(source, dest string) (date, flags copymeta.Policy) {
	if b.shared[source].owner == b.shared[dest].owner { // "" is the user
		return copymeta.Keep, copymeta.Keep
	}
	return copymeta.Preserve, copymeta.Preserve
}

// isOthers tells whether only what others share can have this name.
func isOthers(mailbox string) bool {
	return mailbox == others || strings.HasPrefix(mailbox, others+"/")
}

// subscriptions are the users' subscriptions to what others share. imapmemserver keeps those to
// their own folders.
type subscriptions struct {
	mu  sync.Mutex
	set map[subscription]bool
}

type subscription struct{ user, mailbox string }

func (s *subscriptions) put(user, mailbox string, subscribed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		s.set = make(map[subscription]bool)
	}
	if subscribed {
		s.set[subscription{user, mailbox}] = true
	} else {
		delete(s.set, subscription{user, mailbox})
	}
}

func (s *subscriptions) has(user, mailbox string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set[subscription{user, mailbox}]
}

func no(code imap.ResponseCode, text string) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}
}
