// Package wire stands between TLS and go-imap. It cuts what a client sends into commands, and
// keeps from go-imap what would cost more than its line before anybody has logged in, what is too
// large or nested too deep afterwards, and IDLE where that is to be hidden. It counts connections
// before their TLS handshake, does STARTTLS, and ends connections when the server shuts down.
//
// The server behind it must work on one command of a connection at a time and answer before it
// reads on, as go-imap does: what it has written when it reads again tells what it takes the next
// byte for.
package wire

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// Limits are the limits of one connection. Zero means no limit.
type Limits struct {
	LoginBytes   int64 // of all that is sent before a login
	CommandBytes int64 // of a command and its literals, the message of an APPEND aside
	SearchDepth  int   // of OR, NOT and parentheses in a SEARCH, 1 for a search without
}

// The names of what is refused, as package limits calls its options.
const (
	LoginBytes   = "MaxLoginBytes"
	CommandBytes = "MaxCommandBytes"
	SearchDepth  = "MaxSearchDepth"
)

// Config says what a [Guard] does. The functions are called from many goroutines at once; each may
// be nil.
type Config struct {
	// Terminates says that TLS is the guard's business: the server behind it has no TLSConfig, and
	// InsecureAuth. Otherwise that server must not offer STARTTLS.
	Terminates   bool
	StartTLS     *tls.Config // nil: not offered
	InsecureAuth bool        // clients may log in without TLS

	// HideIdle tells whether a new connection has no IDLE.
	HideIdle func() bool
	// Admit is asked for each connection before anything is read from it, and returns the one to
	// serve, whose Read is that of conn, and whose Close gives back what it holds. It may wait for the
	// address, for 10 s. After an error the client reads "* BYE" and its text, after a TLS handshake,
	// for which it has 10 s.
	Admit func(conn net.Conn) (net.Conn, error)
	// Limits returns the limits of a connection, anew for each command.
	Limits func(conn net.Conn) Limits
	// Refused is told what is over a limit, and whether to refuse it. The name is that of the limit.
	Refused func(conn net.Conn, limit string, value int64) (refuse bool)
}

// Guard is what all connections of a server share.
type Guard struct {
	config Config

	mu       sync.Mutex
	conns    map[*conn]struct{}
	refused  int // connections that were refused, and have not read the BYE
	sockets  int // how many conns can tell what is unread
	watching bool
	draining bool
	bye      string        // what the connections read then; it does not change
	empty    chan struct{} // closed when draining and the last connection is gone
}

// New returns a guard.
func New(config Config) *Guard { return &Guard{config: config, conns: make(map[*conn]struct{})} }

// Listen returns a listener whose connections are guarded. It must be handed on as a pointer, which
// it is: imapserver keeps listeners in a map.
func (g *Guard) Listen(inner net.Listener) net.Listener {
	return newListener(inner, g)
}

func (g *Guard) limits(conn net.Conn) Limits {
	if g.config.Limits == nil {
		return Limits{}
	}
	return g.config.Limits(conn)
}

func (g *Guard) refuses(conn net.Conn, limit string, value int64) bool {
	return g.config.Refused == nil || g.config.Refused(conn, limit, value)
}

// add registers the connection; ok is false if there is to be none any more.
func (g *Guard) add(c *conn) (ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining {
		return false
	}
	g.conns[c] = struct{}{}
	if c.socket != nil {
		g.sockets++
		g.watchLocked()
	}
	return true
}

func (g *Guard) remove(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.conns[c]; !ok {
		return
	}
	delete(g.conns, c)
	if c.socket != nil {
		g.sockets--
	}
	if g.draining && len(g.conns) == 0 {
		close(g.empty)
	}
}

func (g *Guard) all() []*conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	conns := make([]*conn, 0, len(g.conns))
	for c := range g.conns {
		conns = append(conns, c)
	}
	return conns
}

// Drain ends the connections: those that no command runs on at once, the others after its answer.
// All read a BYE with the text. It returns when the last one is closed, or with the error of ctx
// when that is done first. The listeners must be closed before; what they have accepted is closed.
func (g *Guard) Drain(ctx context.Context, text string) error {
	g.mu.Lock()
	if !g.draining {
		g.draining, g.bye, g.empty = true, text, make(chan struct{})
		if len(g.conns) == 0 {
			close(g.empty)
		}
	}
	empty := g.empty
	g.mu.Unlock()
	for _, c := range g.all() {
		c.drain(g.bye)
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
