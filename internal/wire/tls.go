package wire

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/imapgate/imapgate/internal/layers"
)

// handshakeTimeout is how long a TLS handshake may take, whatever the client sends meanwhile.
const handshakeTimeout = 10 * time.Second

// Mistakes in the setup that show only when a client connects. They end the server's Serve.
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

// checkStacking looks at the first bytes from the client. An IMAP server greets before it reads. So
// a server that reads a handshake first is TLS, above this listener.
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

// secure does the TLS handshake if it is not done.
func (c *conn) secure() error {
	t := c.transport.Load()
	if t.handshake == nil {
		return nil
	}
	if err := handshake(t.handshake); err != nil {
		return err
	}
	c.transport.CompareAndSwap(t, &transport{inner: t.inner})
	return nil
}

// handshake does the handshake. It closes the socket after handshakeTimeout.
func handshake(t *tls.Conn) error {
	timer := time.AfterFunc(handshakeTimeout, func() { t.NetConn().Close() })
	defer timer.Stop()
	return t.Handshake()
}

// shaking reports whether a TLS handshake is not done.
func (c *conn) shaking() bool { return c.transport.Load().handshake != nil }

// upgrade begins TLS if the client was just told to begin.
func (c *conn) upgrade() {
	if !c.dialogue.upgraded() {
		return
	}
	early := append(bytes.Clone(c.unread.data), c.takeAhead()...)
	c.unread.clear()
	below := c.NetConn()
	if len(early) > 0 {
		// This was sent in clear before TLS, so it is part of the handshake, or breaks it.
		below = &prefixed{Conn: below, first: early}
	}
	secure := tls.Server(below, c.dialogue.listener.guard.config.StartTLS)
	c.transport.Store(&transport{inner: secure, handshake: secure})
}

// prefixed is a connection of which some bytes were read too early.
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

// NetConn returns the connection below, as that of [tls.Conn] does: the tls.Conn if there is TLS,
// else the socket.
func (c *conn) NetConn() net.Conn { return c.transport.Load().inner }

// transport is what a connection runs on. It does not change: STARTTLS replaces it, and so does the
// end of a handshake.
type transport struct {
	inner     net.Conn
	handshake *tls.Conn // inner, or inside it; nil if its handshake is done
	direct    *direct   // reads from inner if that is a plain socket; else nil
}

// pendingHandshake returns the TLS connection if its handshake is not done, else nil.
func pendingHandshake(conn net.Conn) *tls.Conn {
	t, ok := layers.Find[*tls.Conn](conn)
	if !ok || t.ConnectionState().HandshakeComplete {
		return nil
	}
	return t
}
