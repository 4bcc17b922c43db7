// Package wire stands between TLS and go-imap, and bounds what a client can cost. It splits what a
// client sends into commands. Before login it keeps from go-imap what would cost more than its
// line. After login it keeps from it commands that are too large or nested too deep. It never lets
// go-imap take the rest of a command that it has given up for another one. It hides IDLE where that
// is configured, counts connections before their TLS handshake, does STARTTLS, and ends connections
// when the server shuts down.
//
// The server behind it must work on one command of a connection at a time, and answer before it
// reads on, as go-imap does. So what it has written when it reads again shows how it interprets the
// next byte.
package wire

import (
	"context"
	"crypto/tls"
	"log"
	"net"
	"sync"
)

// Limits are the limits of one connection. Zero means no limit.
type Limits struct {
	LoginBytes   int64 // bytes that may be sent before login
	CommandBytes int64 // bytes of a command with its literals, without the message of an APPEND
	SearchDepth  int   // depth of OR, NOT and parentheses in a SEARCH; 1 without any
}

// The names of the limits, as package limits calls its options.
const (
	LoginBytes   = "MaxLoginBytes"
	CommandBytes = "MaxCommandBytes"
	SearchDepth  = "MaxSearchDepth"
)

// Config configures a [Guard]. The functions are called from many goroutines at once; each may be
// nil.
type Config struct {
	// Terminates says that the guard does TLS: the server behind it has no TLSConfig, and has
	// InsecureAuth. If it is false, that server must not offer STARTTLS.
	Terminates   bool
	StartTLS     *tls.Config // nil: not offered
	InsecureAuth bool        // clients may log in without TLS

	// HideIdle reports whether a new connection has no IDLE. Nil means that it has.
	HideIdle func() bool
	// Admit is called for each connection before anything is read from it, and may wait 10 s for the
	// address. It returns the connection to serve, with the Read of conn, whose Close gives back what
	// it holds. An error is the text of a BYE, after a TLS handshake, which has 10 s.
	Admit func(conn net.Conn) (net.Conn, error)
	// Limits returns the limits of a connection. It is called for each command.
	Limits func(conn net.Conn) Limits
	// Refused is called with the name and value of a limit that is exceeded, and reports whether to
	// refuse what exceeds it. Nil means yes.
	Refused func(conn net.Conn, limit string, value int64) (refuse bool)
	// Logf logs a panic of Admit, or of a tls.Config. Nil means [log.Printf].
	Logf func(format string, args ...any)
}

// Guard is what all connections of a server share.
type Guard struct {
	config Config

	mu       sync.Mutex
	conns    map[*conn]struct{}
	refused  int // connections that were refused, and are still open
	sockets  int // how many conns have a socket that can be checked
	watching bool
	draining bool
	bye      string        // what clients read when draining; set once
	empty    chan struct{} // closed when draining and the last connection is closed
}

// New returns a guard.
func New(config Config) *Guard { return &Guard{config: config, conns: make(map[*conn]struct{})} }

// Listen returns a listener whose connections are guarded. It is a pointer, because imapserver
// keeps listeners as keys of a map.
func (g *Guard) Listen(inner net.Listener) net.Listener {
	return newListener(inner, g)
}

func (g *Guard) limits(conn net.Conn) Limits {
	if g.config.Limits == nil {
		return Limits{}
	}
	return g.config.Limits(conn)
}

func (g *Guard) logf(format string, args ...any) {
	if g.config.Logf == nil {
		log.Printf(format, args...)
		return
	}
	g.config.Logf(format, args...)
}

func (g *Guard) refuses(conn net.Conn, limit string, value int64) bool {
	return g.config.Refused == nil || g.config.Refused(conn, limit, value)
}

// add registers the connection; ok is false if the guard is draining.
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

// Drain ends the connections: at once where no command runs, elsewhere after the answer. All
// clients read a BYE with the text. It returns when the last connection is closed, or with the
// error of ctx when that is done first. The listeners must be closed before; connections that they
// hand over later are closed without a BYE.
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
