package idle

import (
	"crypto/tls"
	"net"
	"sync"
)

// NewListener returns a listener that takes IDLE off the wire: it is gone from every CAPABILITY
// list, and whoever sends it is answered "BAD Unknown command", in order with the commands before
// and after, in every state. Nothing else changes, and no literal is held or searched on its way.
// It is for a server without TLS of its own; for all others there is [NewServer], which stacks
// listener, TLS and server, and offers STARTTLS.
//
// go-imap recognises TLS by the type of the connection, and cannot see it below this listener.
// Therefore, without NewServer:
//   - On a plain listener the server must have no TLSConfig. InsecureAuth means what it always
//     does.
//   - A TLS listener goes below: NewListener(tls.NewListener(…)). The server must have no
//     TLSConfig, and InsecureAuth: then every other listener of that server must be encrypted too,
//     because clients may log in on all of them.
//   - There is no STARTTLS.
//
// A server that is set up otherwise does not have IDLE either, and logs nobody in: at the first
// client that shows the mistake, Serve of the server returns an error that says what is wrong.
//
// On a server of IMAP4rev2, of which IDLE is a part, clients may take it for granted. Once they
// have enabled IMAP4rev2, and on a server without IMAP4rev1, the answer is "NO [CANNOT]" (RFC 9051
// section 6.3.13: BAD is for what is unknown or wrong, and there it is neither). A server that
// wants no client to try does not advertise IMAP4rev2.
//
// The server behind it must work on one command of a connection at a time and answer before it
// reads on, as go-imap does. A CR that no LF follows, which IMAP allows in literals only, is passed
// on as another control character. A line "DONE" on its own is answered like IDLE. A client that
// stalls in the middle of an APPEND until go-imap gives that up is disconnected, and the rest of
// the message not run as commands. The connections have a method NetConn, as [tls.Conn] has.
func NewListener(inner net.Listener) net.Listener { return &listener{Listener: inner} }

// listener must stay a pointer: imapserver keeps listeners in a map.
type listener struct {
	net.Listener
	terminates   bool        // TLS is the listener's business, and the server runs with InsecureAuth
	startTLS     *tls.Config // nil: not offered
	insecureAuth bool

	mu  sync.Mutex
	err error
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.err != nil {
			return nil, l.err
		}
		return nil, err
	}
	return newConn(conn, l), nil
}

// fail ends Accept with the error, because no connection will fare better than the one that saw it.
func (l *listener) fail(err error) {
	l.mu.Lock()
	l.err = err
	l.mu.Unlock()
	l.Listener.Close()
}
