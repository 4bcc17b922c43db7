package vfolders

import (
	"cmp"
	"crypto/tls"
	"net"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"

	"github.com/imapgate/imapgate/internal/keep"
	"github.com/imapgate/imapgate/internal/layers"
	"github.com/imapgate/imapgate/internal/saslname"
)

// account says whose mailboxes a session has: the name that Options.Username has chosen for that,
// or else the user together with the address and the TLS name of the server, because a backend may
// choose the mailboxes by those too.
type account struct{ chosen, user, localHost, serverName string }

// who is what a session knows of its user.
type who struct {
	user    string // of LOGIN or AUTHENTICATE PLAIN, "" if the name is not known
	asked   bool   // whether chosen is set
	chosen  string // by Options.Username
	keyed   bool   // whether what follows is set
	known   bool
	account uint64 // the key of the account
}

// chosen returns what Options.Username returns, which is asked once after a login.
func (s *session) chosen() string {
	if s.options.Username != nil && !s.who.asked {
		s.who.chosen, s.who.asked = s.options.Username(keep.Backend(s.Session)), true
	}
	return s.who.chosen
}

// userName returns who shares a half of the memory.
func (s *session) userName() string { return cmp.Or(s.chosen(), s.who.user) }

// saw notes that there is a mailbox of that name.
func (s *session) saw(name string) {
	if s.history == nil || !canBeVirtual(name) || !s.options.mayCover(name) {
		return
	}
	if account, ok := s.account(); ok {
		s.history.add(account, name)
	}
}

// hasSeen tells whether the name of a virtual folder is known to have been that of a mailbox.
func (s *session) hasSeen(name string) bool {
	if s.history == nil {
		return false
	}
	account, ok := s.account()
	return ok && s.history.has(account, name)
}

// account returns the key of the session's account. ok is false if nobody says whose it is.
func (s *session) account() (key uint64, ok bool) {
	if s.who.keyed {
		return s.who.account, s.who.known
	}
	a := account{chosen: s.chosen()}
	if a.chosen == "" && s.who.user != "" {
		a = accountOf(s.who.user, s.conn.NetConn())
	}
	s.who.keyed, s.who.known = true, a != account{}
	if s.who.known {
		s.who.account = s.history.accountKey(a)
	}
	return s.who.account, s.who.known
}

func accountOf(user string, conn net.Conn) account {
	a := account{user: user}
	if addr := conn.LocalAddr(); addr != nil {
		a.localHost = addr.String()
	}
	if host, _, err := net.SplitHostPort(a.localHost); err == nil {
		a.localHost = host // for clients that use different ports
	}
	if conn, ok := layers.Find[*tls.Conn](conn); ok {
		a.serverName = conn.ConnectionState().ServerName
	}
	return a
}

// Login asks the backend.
func (s *session) Login(username, password string) error {
	err := s.Session.Login(username, password)
	if err == nil {
		s.loggedIn(username)
	}
	return err
}

func (s *session) loggedIn(user string) { s.who = who{user: user} }

// AuthenticateMechanisms asks the backend.
func (s *session) AuthenticateMechanisms() []string {
	return s.Session.(imapserver.SessionSASL).AuthenticateMechanisms()
}

// Authenticate asks the backend.
func (s *session) Authenticate(mech string) (sasl.Server, error) {
	return saslname.Authenticate(s.Session, mech, s.loggedIn)
}
