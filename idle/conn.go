package idle

import (
	"crypto/tls"
	"net"
	"sync"

	"github.com/imapgate/imapgate/internal/layers"
)

// directLiteral is from how many bytes on a piece of a literal is written as it is, and not copied
// to what goes before it.
const directLiteral = 16 << 10

// conn is a connection without IDLE. The server reads and writes it from one goroutine; what others
// write must be whole lines.
type conn struct {
	dialogue  dialogue
	requests  requests
	responses responses

	reading sync.Mutex // guards requests and what follows
	unread  []byte     // from the client, not looked at yet
	pending []byte     // for the server
	in, out []byte     // back unread and pending
	err     error      // follows unread
	broken  error      // what every further Read returns

	writing sync.Mutex // guards responses and written
	written []byte     // reused

	transport sync.Mutex // guards inner
	inner     net.Conn
}

var _ net.Conn = (*conn)(nil)

func newConn(inner net.Conn, listener *listener) *conn {
	c := &conn{inner: inner}
	c.dialogue.listener = listener
	_, c.dialogue.encrypted = layers.Find[*tls.Conn](inner)
	c.requests.dialogue = &c.dialogue
	c.responses.dialogue = &c.dialogue
	return c
}

// Read returns at most one line or literal at a time, so that the answer of the server to it is
// known when it reads again.
func (c *conn) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if c.broken != nil {
		return 0, c.broken
	}
	if len(c.pending) == 0 {
		c.requests.resume()
	}
	for len(c.pending) == 0 {
		if len(c.unread) == 0 {
			if c.requests.literal > 0 {
				n, err := c.NetConn().Read(p[:min(int64(len(p)), c.requests.literal)])
				c.requests.skip(int64(n))
				return n, c.failed(err)
			}
			if err := c.fill(); err != nil {
				return 0, c.failed(err)
			}
		}
		var n int
		c.pending, n = c.requests.take(c.out[:0], c.unread[:min(len(c.unread), len(p))])
		c.out, c.unread = c.pending, c.unread[n:]
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

// failed notes that there was nothing to read. In the middle of an APPEND that ends the connection:
// go-imap would take the rest of the message for commands after a timeout, and says nothing by
// which the filter could tell.
func (c *conn) failed(err error) error {
	if err == nil {
		return nil
	}
	c.dialogue.failed()
	if c.requests.message {
		c.broken = err
	}
	return err
}

func (c *conn) fill() error {
	if err := c.err; err != nil {
		c.err = nil
		return err
	}
	first := c.in == nil
	if first {
		c.in = make([]byte, 4096)
	}
	n, err := c.NetConn().Read(c.in)
	if n == 0 {
		return err
	}
	c.unread, c.err = c.in[:n], err
	if first {
		return c.checkStacking()
	}
	return nil
}

// Write passes on what the server says, and begins TLS when it has agreed to that.
func (c *conn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if len(p) == 0 {
		return c.NetConn().Write(p)
	}
	out := c.written[:0]
	for rest := p; len(rest) > 0; {
		n := int(min(int64(len(rest)), c.responses.literal))
		switch {
		case n == 0:
			out, n = c.responses.take(out, rest)
		case n < directLiteral && n < len(p):
			out = append(out, rest[:n]...)
			c.responses.literal -= int64(n)
		default:
			if err := c.write(out); err != nil {
				return 0, err
			}
			out = out[:0]
			if err := c.write(rest[:n]); err != nil {
				return 0, err
			}
			c.responses.literal -= int64(n)
		}
		rest = rest[n:]
	}
	c.written = out
	if err := c.dialogue.spoken(); err != nil {
		return 0, err
	}
	if err := c.write(out); err != nil {
		return 0, err
	}
	c.upgrade()
	return len(p), nil
}

func (c *conn) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := c.NetConn().Write(p)
	return err
}
