package wire

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/imapgate/imapgate/internal/layers"
)

// conn is a guarded connection. The server reads and writes it from one goroutine; what others
// write must be whole lines.
type conn struct {
	dialogue  dialogue
	requests  requests
	responses responses
	socket    syscall.RawConn // nil if it cannot be found

	// What follows, and requests, belongs to the goroutine of the server that reads.
	unread  rest   // from the client, not looked at yet
	pending []byte // for the server
	err     error  // follows unread
	sent    int64  // bytes before the login
	limits  Limits // of the next command
	broken  bool   // err is what every further Read returns
	heard   bool   // the client has sent something
	// loggedIn tells whether somebody was logged in when the server began to read. While it reads
	// that cannot change.
	loggedIn bool

	greeted   bool       // the server has said something; as responses, guarded by writing
	lastTurns uint32     // at the last look; of the guard's goroutine
	writing   sync.Mutex // guards responses

	transport atomic.Pointer[transport]
	life      life
}

var _ net.Conn = (*conn)(nil)

// newConn guards the connection, which is accepted or one that has its Read.
func newConn(inner, accepted net.Conn, listener *listener) *conn {
	c := &conn{}
	config := &listener.guard.config
	c.dialogue.listener = listener
	_, c.dialogue.encrypted = layers.Find[*tls.Conn](inner)
	c.dialogue.hidesIdle = config.HideIdle != nil && config.HideIdle()
	c.requests.conn = c
	c.responses.dialogue = &c.dialogue
	if below, ok := layers.Find[syscall.Conn](inner); ok {
		c.socket, _ = below.SyscallConn()
	}
	c.transport.Store(&transport{inner, pendingHandshake(inner), newDirect(accepted, c.socket)})
	return c
}

func (c *conn) guard() *Guard { return c.dialogue.listener.guard }

// AfterAnswer calls f in a goroutine of its own when the tagged answer to the command that runs has
// been written, or at once if none runs. It does not when the connection ends before.
func (c *conn) AfterAnswer(f func()) {
	if !c.dialogue.callAfter(f) {
		go f()
	}
}

// callAfter calls what waits for the end of the answer. It is called under writing.
func (c *conn) callAfter() {
	for _, f := range c.dialogue.takeAfter() {
		go f()
	}
}

// ReadOnlyNext makes the next tagged answer say READ-ONLY if it is an OK that says READ-WRITE.
func (c *conn) ReadOnlyNext() { c.dialogue.setReadOnlyNext() }

// Close closes the connection.
func (c *conn) Close() error {
	c.life.end()
	defer c.guard().remove(c)
	return c.NetConn().Close()
}

func (c *conn) LocalAddr() net.Addr                { return c.NetConn().LocalAddr() }
func (c *conn) RemoteAddr() net.Addr               { return c.NetConn().RemoteAddr() }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.NetConn().SetWriteDeadline(t) }

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline is for the server only: it does not end what is read ahead of it.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.life.setDeadline(t) {
		return nil
	}
	return c.NetConn().SetReadDeadline(t)
}
