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

// directLiteral is from how many bytes on a piece of a literal is written as it is, and not copied
// to what goes before it.
const directLiteral = 16 << 10

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

// Read returns at most one line or literal at a time, so that the answer of the server to it is
// known when it reads again. It waits for the client in as few calls as possible: the stack of a
// connection that does nothing is most of what that takes.
func (c *conn) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err = c.begin(p)
	for n == 0 && err == nil {
		in := c.unread.next(len(p))
		if len(in) == 0 {
			var ahead *ahead
			if ahead, err = c.beforeReading(); err != nil {
				return 0, err
			}
			switch t := c.transport.Load(); {
			case ahead != nil:
				n, err = c.readAheadOf(ahead, p)
			case t.direct != nil: // read from here, without a frame more
				t.direct.in = p
				n, err = t.direct.result(t.direct.socket.Read(t.direct.try))
			default:
				n, err = t.inner.Read(p)
			}
			if n, err = c.afterReading(p, n, err); err != nil {
				return 0, err
			}
			in = p[:n]
		}
		n, err = c.handOn(p, in)
	}
	return n, err
}

// begin returns what there is for the server without another look at what the client sends.
func (c *conn) begin(p []byte) (int, error) {
	if c.broken {
		return 0, c.err
	}
	if len(c.pending) > 0 {
		n := copy(p, c.pending)
		c.pending = c.pending[n:]
		return n, nil
	}
	c.loggedIn = c.requests.resume()
	if !c.unread.empty() && c.requests.betweenCommands() && c.life.isDraining() {
		return 0, c.bye(c.guard().bye)
	}
	return 0, nil // before it reads from the client it asks again
}

// beforeReading returns where to read from, if something was read ahead.
func (c *conn) beforeReading() (*ahead, error) {
	if err := c.err; err != nil {
		c.err = nil
		return nil, c.failed(err)
	}
	if err := c.secure(); err != nil {
		return nil, c.failed(err)
	}
	ahead, ok := c.life.enter(c.requests.mayEnd())
	if !ok {
		return nil, c.bye(c.guard().bye)
	}
	return ahead, nil
}

// afterReading says what becomes of what was read.
func (c *conn) afterReading(in []byte, n int, err error) (int, error) {
	if !c.life.leave() {
		return 0, c.end(net.ErrClosed) // somebody else has said goodbye
	}
	if n == 0 {
		return 0, c.failed(err)
	}
	c.err = err
	return n, c.checkStacking(in[:n])
}

// handOn copies to p what of the input the server may have, which can be nothing. The input may be
// a part of p.
func (c *conn) handOn(p, in []byte) (n int, err error) {
	if len(in) == 0 {
		return 0, nil
	}
	if c.requests.betweenCommands() {
		c.limits = c.guard().limits(c) // here, and not where they are used, far up the stack
	}
	before := c.beforeLogin()
	c.requests.loggedIn = !before
	used := c.requests.plain(in)
	if used > 0 {
		n = copy(p, in[:used])
		c.unread.keep(in, used)
	} else {
		n, used = c.take(p, in)
	}
	if before && !c.countLogin(used) {
		return 0, c.bye(byeLoginBytes)
	}
	if c.requests.overlong {
		return 0, c.bye(byeTag)
	}
	return n, nil
}

// take copies to p what becomes of the input, and returns how much of that was used.
func (c *conn) take(p, in []byte) (n, used int) {
	buf := scratch.Get().(*[8 << 10]byte)
	defer scratch.Put(buf)
	out, used := c.requests.take(buf[:0], in)
	c.unread.keep(in, used)
	n = copy(p, out)
	if n < len(out) {
		c.pending = append([]byte(nil), out[n:]...)
	}
	return n, used
}

// beforeLogin tells whether nobody is logged in. What is sent after UNAUTHENTICATE counts anew.
func (c *conn) beforeLogin() bool {
	if c.loggedIn {
		c.sent = 0
		return false
	}
	return true
}

// countLogin counts what was sent before the login, and tells whether that is still allowed.
func (c *conn) countLogin(n int) bool {
	before := c.sent
	c.sent += int64(n)
	most := c.limits.LoginBytes
	if most == 0 || c.sent <= most || before > most {
		return true // or it was allowed once, by a dry run
	}
	return !c.guard().refuses(c, LoginBytes, most)
}

// bye ends the connection, and returns what the server reads.
func (c *conn) bye(text string) error {
	c.goodbye(text)
	return c.end(net.ErrClosed)
}

// failed notes that there was nothing to read. In the middle of an APPEND that ends the connection:
// go-imap would take the rest of the message for commands after a timeout, and says nothing by
// which the guard could tell.
func (c *conn) failed(err error) error {
	if err == nil {
		return nil
	}
	c.dialogue.failed()
	if c.requests.message {
		c.end(err)
	}
	return err
}

// end makes every further Read return the error.
func (c *conn) end(err error) error {
	c.broken, c.err = true, err
	return err
}

func (c *conn) guard() *Guard { return c.dialogue.listener.guard }

// Write passes on what the server says, and begins TLS when it has agreed to that.
func (c *conn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.secure(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return c.NetConn().Write(p)
	}
	if err := c.rewrite(p); err != nil {
		return 0, err
	}
	if c.responses.finished {
		c.responses.finished = false
		if c.dialogue.hasMore.Load() {
			c.upgrade()
			c.callAfter()
		}
	}
	return len(p), nil
}

// rewrite writes what the client gets of p.
func (c *conn) rewrite(p []byte) error {
	n, instead := c.responses.plain(p)
	if n == len(p) && instead == "" {
		return c.send(p)
	}
	buf := scratch.Get().(*[8 << 10]byte)
	defer scratch.Put(buf)
	out := appendPlain(buf[:0], p[:n], instead)
	for rest := p[n:]; len(rest) > 0; {
		n := int(min(int64(len(rest)), c.responses.literal))
		switch {
		case n == 0:
			out, n = c.responses.take(out, rest)
		case n < directLiteral && n < len(p):
			out = append(out, rest[:n]...)
			c.responses.literal -= int64(n)
		default:
			if err := c.write(out); err != nil {
				return err
			}
			out = out[:0]
			if err := c.write(rest[:n]); err != nil {
				return err
			}
			c.responses.literal -= int64(n)
		}
		rest = rest[n:]
	}
	return c.send(out)
}

// send writes the end of what the server says at once, unless that shows that it is set up wrongly.
func (c *conn) send(p []byte) error {
	if !c.greeted || c.dialogue.failure.Load() != nil {
		c.greeted = true
		if err := c.dialogue.spoken(); err != nil {
			return err
		}
	}
	return c.write(p)
}

func (c *conn) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := c.NetConn().Write(p)
	return err
}

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
