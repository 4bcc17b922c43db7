package wire

import (
	"errors"
	"io"
	"net"
	"os"
)

// Read returns at most one line or literal at a time, so that the server has answered it before the
// next. It waits for the client with as few nested calls as possible, because the stack is most of
// the memory of an idle connection.
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
			case t.direct != nil: // read here, to save a stack frame
				c.unread, err = t.direct.result(t.direct.socket.Read(t.direct.try))
				if err = c.afterReading(c.unread.data, err); err != nil {
					return 0, err
				}
				continue
			default:
				n, err = t.inner.Read(p)
			}
			if err = c.afterReading(p[:n], err); err != nil {
				return 0, err
			}
			in = p[:n]
		}
		n, err = c.handOn(p, in)
	}
	return n, err
}

// begin returns what is ready for the server without a look at new input.
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
	return 0, nil // beforeReading checks again for draining
}

// beforeReading prepares a read from the client. It returns what was read ahead, or nil.
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

// afterReading checks what was read, and whether the connection must end.
func (c *conn) afterReading(in []byte, err error) error {
	if !c.life.leave() {
		c.life.farewell.Wait() // the server closes the connection at once, but the client must read
		return c.end(net.ErrClosed)
	}
	if len(in) == 0 {
		return c.failed(err)
	}
	c.err = err
	return c.checkStacking(in)
}

// handOn copies to p what the server may have of the input, which can be nothing. The input may be
// part of p.
func (c *conn) handOn(p, in []byte) (n int, err error) {
	if len(in) == 0 {
		return 0, nil
	}
	if c.requests.betweenCommands() {
		c.limits = c.guard().limits(c) // here, where the stack is shallow, not where they are used
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
	if c.requests.awaitsMessage() {
		c.stopAhead() // the message may be long, and the server may take it late and slowly
	}
	return n, nil
}

// take copies to p what the server gets for the input, and returns how much of the input was used.
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

// beforeLogin reports whether nobody is logged in. The bytes count from zero after UNAUTHENTICATE.
func (c *conn) beforeLogin() bool {
	if c.loggedIn {
		c.sent = 0
		return false
	}
	return true
}

// countLogin counts bytes that were sent before login, and reports whether they are still allowed.
func (c *conn) countLogin(n int) bool {
	before := c.sent
	c.sent += int64(n)
	most := c.limits.LoginBytes
	if most == 0 || c.sent <= most || before > most {
		return true // the limit is not exceeded, or a dry run let it pass
	}
	return !c.guard().refuses(c, LoginBytes, most)
}

// bye says BYE, ends the connection, and returns the error for the server.
func (c *conn) bye(text string) error {
	c.goodbye(text)
	return c.end(net.ErrClosed)
}

// failed notes that nothing could be read. In the middle of a command it ends the connection: after
// a timeout go-imap would take the rest of the command for others. In a message, an EOF would look
// like its end, and the backend would store a part of it.
func (c *conn) failed(err error) error {
	if err == nil {
		return nil
	}
	c.dialogue.failed()
	switch {
	case c.requests.inStep():
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.HangUp(byeStalled)
	case err == io.EOF && c.requests.message:
		err = io.ErrUnexpectedEOF
	}
	return c.end(err)
}

// end makes every further Read return the error.
func (c *conn) end(err error) error {
	c.broken, c.err = true, err
	return err
}
