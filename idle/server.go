package idle

import (
	"errors"
	"net"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"

	"github.com/imapgate/imapgate/internal/keep"
)

// Server is an [imapserver.Server] that has no IDLE, as [NewListener] describes. Unlike a
// NewListener it knows about TLS. It has no ListenAndServe: Serve takes the listener. It may be
// used from several goroutines at once.
type Server struct {
	server  *imapserver.Server
	options imapserver.Options
}

// NewServer returns a server without IDLE. The options, which must not be nil, mean what they mean
// for [imapserver.New]: with a TLSConfig it offers STARTTLS on connections that are not encrypted,
// and without InsecureAuth nobody logs in on those. Inside, the listeners do TLS and go-imap runs
// without a TLSConfig and with InsecureAuth, so that IDLE stays hidden after STARTTLS; a wrapper
// around every session refuses logins on connections that are not encrypted. A backend that looks
// for a [crypto/tls.Conn], for the client's certificate say, finds it by calling NetConn on what
// [imapserver.Conn.NetConn] returns.
//
// [Wrap] is not a part of it: with [Off] Wrap makes sure that the backend's Idle is not called on
// other servers either.
func NewServer(options *imapserver.Options) *Server {
	s := &Server{options: *options}
	inner := *options
	inner.TLSConfig = nil
	inner.InsecureAuth = true
	inner.NewSession = guard(options.NewSession)
	s.server = imapserver.New(&inner)
	return s
}

// Serve accepts connections as [imapserver.Server.Serve] does. The listener is a plain one or one
// of [crypto/tls.NewListener], or has connections with a NetConn method that leads to a
// [crypto/tls.Conn]; one of [NewListener] is an error. A server may serve several at once, each by
// a call of its own, which blocks as that of go-imap does.
func (s *Server) Serve(ln net.Listener) error {
	if _, ok := ln.(*listener); ok {
		return errors.New("idle: Server.Serve needs the listener below NewListener")
	}
	return s.server.Serve(&listener{
		Listener:     ln,
		terminates:   true,
		startTLS:     s.options.TLSConfig,
		insecureAuth: s.options.InsecureAuth,
	})
}

// Close closes the listeners and connections, as [imapserver.Server.Close] does.
func (s *Server) Close() error { return s.server.Close() }

// ErrPrivacyRequired is the answer to those who log in without TLS, in the words of go-imap.
var ErrPrivacyRequired = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodePrivacyRequired,
	Text: "TLS is required to authenticate",
}

// guard makes sessions that let nobody log in whose connection does not allow it.
func guard(next NewSessionFunc) NewSessionFunc {
	return func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		inner, greeting, err := next(c)
		if err != nil {
			return inner, greeting, err
		}
		return keep.Optional(
			&guarded{Session: inner, dialogue: &c.NetConn().(*conn).dialogue}, inner,
		), greeting, nil
	}
}

type guarded struct {
	imapserver.Session
	dialogue *dialogue
}

func (g *guarded) Login(username, password string) error {
	if !g.dialogue.allowsLogin() {
		return ErrPrivacyRequired
	}
	return g.Session.Login(username, password)
}

func (g *guarded) AuthenticateMechanisms() []string {
	return g.Session.(imapserver.SessionSASL).AuthenticateMechanisms()
}

func (g *guarded) Authenticate(mech string) (sasl.Server, error) {
	if !g.dialogue.allowsLogin() {
		return nil, ErrPrivacyRequired
	}
	return g.Session.(imapserver.SessionSASL).Authenticate(mech)
}
