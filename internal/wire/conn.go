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

// conn is a guarded connection. The server reads and writes it from one goroutine. What other
// goroutines write must be whole lines.
type conn struct {
	dialogue  dialogue
	requests  requests
	responses responses
	socket    syscall.RawConn // nil if it cannot be found
	remote    net.Addr

	// The next fields, and requests, belong to the goroutine in which the server reads.
	unread  rest   // from the client, not looked at yet
	pending []byte // ready for the server
	err     error  // comes after unread
	sent    int64  // bytes before login
	limits  Limits // of the next command
	broken  bool   // every further Read returns err
	heard   bool   // the client has sent something
	// loggedIn is true if the client was logged in when the server began to read. It cannot change
	// during that read.
	loggedIn bool

	greeted   bool       // the server has said something; guarded by writing
	lastTurns uint32     // turns at the last look; only look uses it
	writing   sync.Mutex // guards responses and held
	held      held       // written by the server, but not to the client yet

	transport atomic.Pointer[transport]
	life      life
}

var _ net.Conn = (*conn)(nil)

// newConn guards inner. Inner is accepted, or a connection around it with the same Read.
func newConn(inner, accepted net.Conn, listener *listener) *conn {
	c := &conn{remote: inner.RemoteAddr()}
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

// AfterAnswer calls f in a goroutine of its own when the tagged answer to the running command has
// been written, or at once if no command runs. If the connection is closed first, it never calls f.
func (c *conn) AfterAnswer(f func()) {
	if !c.dialogue.callAfter(f) {
		go f()
	}
}

// callAfter calls the functions that wait for the answer. The caller holds writing.
func (c *conn) callAfter() {
	for _, f := range c.dialogue.takeAfter() {
		go f()
	}
}

// ReadOnlyNext makes the next tagged answer say READ-ONLY if it is an OK that says READ-WRITE.
func (c *conn) ReadOnlyNext() { c.dialogue.setReadOnlyNext() }

// Close closes the connection. The client gets what is held, unless it does not read. TLS says
// goodbye: a client that does not read has byeTimeout for that, not the 5 s of package tls. The
// same holds if another goroutine is still saying BYE.
func (c *conn) Close() error {
	c.life.end()
	defer c.guard().remove(c)
	timer := time.AfterFunc(byeTimeout, func() { layers.Innermost(c).Close() })
	defer timer.Stop()
	c.life.farewell.Wait()
	if c.writing.TryLock() {
		if !c.held.empty() {
			c.NetConn().SetWriteDeadline(time.Now().Add(heldDelay))
			c.write(nil)
		}
		c.writing.Unlock()
	}
	return c.NetConn().Close()
}

func (c *conn) LocalAddr() net.Addr  { return c.NetConn().LocalAddr() }
func (c *conn) RemoteAddr() net.Addr { return c.remote }
