package mailserver

import (
	"flag"
	"fmt"
	"log/slog"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// folders are what every user has. That "Lists" itself does not exist is no mistake: such folders
// are common.
var folders = []string{"INBOX", "Archive", "Archive/2025", "Drafts", "Lists/imap", "Sent", "Trash"}

// backend keeps the mail of all users in memory.
type backend struct {
	users         map[string]*imapmemserver.User
	shared        map[string]sharedFolder // by the name that others see
	subscriptions subscriptions
	moving        sync.Mutex // held by a MOVE
}

func backendFlags(flags *flag.FlagSet, s *settings) {
	flags.StringVar(
		&s.users, "users", "karen:pass,bob:pass",
		"`list` of users with their passwords; the start text shows them",
	)
	flags.StringVar(
		&s.mail, "mail", "",
		"`path` of mail for INBOX of the first user: a folder of .eml files, a Maildir or an mbox",
	)
	listFlag(
		flags, &s.shared, "shared",
		"`owner:folder` that every other user sees as #users/owner/folder, and may change; "+
			"may be given again",
		parseShared,
	)
}

// newBackend makes the users with their folders and mail.
func newBackend(s *settings, logger *slog.Logger) (*backend, error) {
	b := &backend{users: make(map[string]*imapmemserver.User)}
	for i, a := range s.accounts {
		mail := samples()
		if i == 0 && s.mail != "" {
			var err error
			if mail, err = loadMail(s.mail, logger); err != nil {
				return nil, wrongValue("mail", s.mail, err)
			}
			logger.Info(
				"mail loaded", "user", cut(a.name, maxLoggedUser), "messages", len(mail), "path", s.mail,
			)
		}
		user, err := newUser(a, mail)
		if err != nil {
			return nil, err
		}
		b.users[a.name] = user
	}
	return b, b.share(s.shared)
}

func newUser(a account, mail []message) (*imapmemserver.User, error) {
	user := imapmemserver.NewUser(a.name, a.password)
	for _, folder := range folders {
		if err := user.Create(folder, nil); err != nil {
			return nil, fmt.Errorf("create %s: %w", folder, err)
		}
		// Many clients show only what is subscribed.
		if err := user.Subscribe(folder); err != nil {
			return nil, fmt.Errorf("subscribe to %s: %w", folder, err)
		}
	}
	for _, m := range mail {
		options := &imap.AppendOptions{Flags: m.flags, Time: m.date}
		if _, err := user.Append("INBOX", m.reader(), options); err != nil {
			return nil, fmt.Errorf("append to INBOX: %w", err)
		}
	}
	return user, nil
}
