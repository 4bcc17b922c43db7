package wire

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"

	"github.com/imapgate/imapgate/internal/keep"
)

// NewSessionFunc is what an [imapserver.Server] calls for each connection.
type NewSessionFunc = func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error)

// errPrivacyRequired is the answer to those who log in without TLS, in the words of go-imap.
var errPrivacyRequired = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodePrivacyRequired,
	Text: "TLS is required to authenticate",
}

// Private wraps next so that nobody logs in on a connection that does not allow it, and so that
// [Guard.Drain] waits for the end of each session. It is for the server of a guard that terminates
// TLS, which runs with InsecureAuth.
func Private(next NewSessionFunc) NewSessionFunc {
	return func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		inner, greeting, err := next(c)
		if err != nil {
			return inner, greeting, err
		}
		conn := c.NetConn().(*conn)
		conn.guard.begin(conn)
		return keep.Optional(&private{inner, conn}, inner), greeting, nil
	}
}

type private struct {
	imapserver.Session
	conn *conn
}

func (p *private) Close() error {
	defer p.conn.guard.remove(p.conn, false)
	return p.Session.Close()
}

func (p *private) Login(username, password string) error {
	if !p.conn.dialogue.allowsLogin() {
		return errPrivacyRequired
	}
	return p.Session.Login(username, password)
}

func (p *private) AuthenticateMechanisms() []string {
	return p.Session.(imapserver.SessionSASL).AuthenticateMechanisms()
}

func (p *private) Authenticate(mech string) (sasl.Server, error) {
	if !p.conn.dialogue.allowsLogin() {
		return nil, errPrivacyRequired
	}
	return p.Session.(imapserver.SessionSASL).Authenticate(mech)
}
