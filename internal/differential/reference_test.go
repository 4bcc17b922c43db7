package differential_test

import (
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// promise is what a stack changes on purpose. The zero promise changes nothing.
type promise struct {
	copies   copies
	virtual  virtualMode
	limited  bool // with the default limits
	guarded  bool // the guard answers commands before login
	hideIdle bool
}

var promises = map[string]promise{
	"limits":            {limited: true},
	"vfolders":          {virtual: selectable},
	"vfolders-noselect": {virtual: noSelect},
	"copymeta-preserve": {copies: preserved},
	"copymeta-reset":    {copies: reset},
	"idle-off":          {hideIdle: true, guarded: true},
	"server":            {limited: true, guarded: true},
	"server-everything": {virtual: selectable, limited: true, copies: preserved, guarded: true},
	"zero":              {virtual: selectable},
	"defaults":          {virtual: selectable, limited: true},
	"everything":        {virtual: selectable, limited: true, copies: preserved},
}

// world is the mail at the beginning of a conversation.
type world struct {
	users  []*imapmemserver.User
	trees  map[string]*tree   // by user
	bodies map[string]*bodies // by user
}

func newWorld() *world {
	w := &world{trees: make(map[string]*tree), bodies: make(map[string]*bodies)}
	for _, name := range []string{"karen", "bob"} {
		mailboxes := []string{"Sent", "Work/2024/Q1", "#users/bob/Inbox"}
		user := imaptest.User(name, mailboxes...)
		w.users = append(w.users, user)
		w.trees[name] = newTree(append(mailboxes, "INBOX"))
		w.bodies[name] = newBodies()
		for i, options := range []imap.AppendOptions{
			{},
			{
				Flags: []imap.Flag{imap.FlagSeen, "$Label"},
				Time:  time.Date(1996, 7, 17, 2, 44, 25, 0, time.FixedZone("", -7*60*60)),
			},
			{Flags: []imap.Flag{imap.FlagDeleted, imap.FlagFlagged, imap.FlagDraft}},
		} {
			body := messages[i]
			data, err := user.Append("INBOX", strings.NewReader(body), &options)
			if err != nil {
				panic(err)
			}
			w.bodies[name].put(data, body)
		}
	}
	return w
}

// reference returns sessions of the backend that keep the promise by code of their own.
func (w *world) reference(p promise) imaptest.NewSessionFunc {
	return func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		inner, greeting, err := w.memory(conn)
		if err != nil {
			return nil, nil, err
		}
		session := inner.(imapserver.SessionIMAP4rev2)
		if p.copies != untouched {
			session = &copying{SessionIMAP4rev2: session, all: w.bodies, reset: p.copies == reset}
		}
		if p.virtual != noVirtual {
			session = &virtual{
				SessionIMAP4rev2: session,
				conn:             conn,
				trees:            w.trees,
				selectable:       p.virtual == selectable,
			}
		}
		if p.limited {
			session = &limited{SessionIMAP4rev2: session, conn: conn}
		}
		return session, greeting, nil
	}
}

// limited makes the two refusals that a conversation can reach without many connections or large
// searches.
type limited struct {
	imapserver.SessionIMAP4rev2
	conn   *imapserver.Conn
	failed int
}

func (l *limited) Login(username, password string) error {
	if l.failed >= 3 {
		return &imap.Error{
			Type: imap.StatusResponseTypeNo,
			Code: imap.ResponseCodeLimit,
			Text: "Too many failed login attempts",
		}
	}
	err := l.SessionIMAP4rev2.Login(username, password)
	if err == nil {
		return nil
	}
	if l.failed++; l.failed == 3 {
		time.AfterFunc(100*time.Millisecond, func() { l.conn.Bye("Too many failed login attempts") })
	}
	return err
}

func (l *limited) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	for _, pattern := range patterns {
		isWildcard := func(r rune) bool { return r == '*' || r == '%' }
		runs := len(strings.FieldsFunc("."+pattern+".", func(r rune) bool { return !isWildcard(r) }))
		if runs > 3 {
			return &imap.Error{
				Type: imap.StatusResponseTypeNo,
				Code: imap.ResponseCodeLimit,
				Text: "Too many wildcards in a mailbox pattern",
			}
		}
	}
	return l.SessionIMAP4rev2.List(w, ref, patterns, options)
}
