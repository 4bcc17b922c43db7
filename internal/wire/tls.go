package wire

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"

	"github.com/imapgate/imapgate/internal/layers"
)

// Mistakes that only show when a client is there. They end the server's Serve.
var (
	errServerTLS = errors.New(
		"imapgate: the server offers STARTTLS above the listener, where nothing could be guarded: " +
			"use imapgate.NewServer, or no TLSConfig",
	)
	errLoginDisabled = errors.New(
		"imapgate: the server does not see that the listener is encrypted: " +
			"use imapgate.NewServer, or InsecureAuth",
	)
	errBelowTLS = errors.New(
		"imapgate: the listener is below TLS and sees nothing of IMAP: " +
			"give NewListener the TLS listener",
	)
)

// recordHandshake is the first byte of a TLS connection.
const recordHandshake = 0x16

// checkStacking looks at the first bytes of the client. An IMAP server greets before it reads, so
// whoever reads a handshake first is TLS.
func (c *conn) checkStacking(first []byte) error {
	if c.heard || len(first) == 0 {
		return nil
	}
	c.heard = true
	if first[0] != recordHandshake || !c.dialogue.silent() {
		return nil
	}
	c.dialogue.listener.fail(errBelowTLS)
	return errBelowTLS
}

// secure does the TLS handshake if there is one to do.
func (c *conn) secure() error {
	c.transport.Lock()
	t, shaken := c.handshake, c.handshake == nil
	c.transport.Unlock()
	if shaken {
		return nil
	}
	if err := handshake(t); err != nil {
		return err
	}
	c.transport.Lock()
	defer c.transport.Unlock()
	if c.handshake == t {
		c.handshake = nil
	}
	return nil
}

// shaking tells whether the TLS handshake is not done.
func (c *conn) shaking() bool {
	c.transport.Lock()
	defer c.transport.Unlock()
	return c.handshake != nil
}

// upgrade begins TLS if the client was just told to.
func (c *conn) upgrade() {
	if !c.dialogue.upgraded() {
		return
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	early := c.unread
	c.unread = nil
	early = append(early, c.takeAhead()...)
	c.transport.Lock()
	defer c.transport.Unlock()
	below := c.inner
	if len(early) > 0 {
		// Sent in clear before TLS, so it is a part of the handshake, or breaks it.
		below = &prefixed{Conn: below, first: bytes.Clone(early)}
	}
	c.handshake = tls.Server(below, c.dialogue.listener.guard.config.StartTLS)
	c.inner = c.handshake
}

// prefixed is a connection of which something was read too early.
type prefixed struct {
	net.Conn
	first []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// NetConn returns the connection that is wrapped.
func (p *prefixed) NetConn() net.Conn { return p.Conn }

// NetConn returns the connection that is wrapped, as that of [tls.Conn] does: the tls.Conn, if
// there is TLS, and below that the socket.
func (c *conn) NetConn() net.Conn {
	c.transport.Lock()
	inner := c.inner
	c.transport.Unlock()
	return inner
}

// pendingHandshake returns the TLS connection that is accepted and has not been used yet.
func pendingHandshake(conn net.Conn) *tls.Conn {
	t, ok := layers.Find[*tls.Conn](conn)
	if !ok || t.ConnectionState().HandshakeComplete {
		return nil
	}
	return t
}
