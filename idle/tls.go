package idle

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// Mistakes that only show when a client is there. They end the server's Serve.
var (
	errServerTLS = errors.New(
		"idle: the server offers STARTTLS above the listener, where IDLE could not be hidden: " +
			"use idle.NewServer, or no TLSConfig",
	)
	errLoginDisabled = errors.New(
		"idle: the server does not see that the listener is encrypted: use idle.NewServer, or InsecureAuth",
	)
	errBelowTLS = errors.New(
		"idle: the listener is below TLS and sees nothing of IMAP: give NewListener the TLS listener",
	)
)

// recordHandshake is the first byte of a TLS connection.
const recordHandshake = 0x16

// checkStacking looks at the first bytes of the client. An IMAP server greets before it reads, so
// whoever reads a handshake first is TLS.
func (c *conn) checkStacking() error {
	if c.unread[0] != recordHandshake || !c.dialogue.silent() {
		return nil
	}
	c.dialogue.listener.fail(errBelowTLS)
	return errBelowTLS
}

// upgrade begins TLS if the client was just told to.
func (c *conn) upgrade() {
	if !c.dialogue.upgraded() {
		return
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	c.transport.Lock()
	defer c.transport.Unlock()
	below := c.inner
	if len(c.unread) > 0 {
		// Sent in clear before TLS, so it is a part of the handshake, or breaks it.
		below = &prefixed{Conn: below, first: bytes.Clone(c.unread)}
		c.unread = nil
	}
	c.inner = tls.Server(below, c.dialogue.listener.startTLS)
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
	defer c.transport.Unlock()
	return c.inner
}

func (c *conn) Close() error                       { return c.NetConn().Close() }
func (c *conn) LocalAddr() net.Addr                { return c.NetConn().LocalAddr() }
func (c *conn) RemoteAddr() net.Addr               { return c.NetConn().RemoteAddr() }
func (c *conn) SetDeadline(t time.Time) error      { return c.NetConn().SetDeadline(t) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.NetConn().SetReadDeadline(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.NetConn().SetWriteDeadline(t) }
