package limits

import (
	"io"
	"net"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/imapgate/imapgate/internal/layers"
)

const (
	// byeDelay lets the tagged NO go out before the BYE, as the NO is written after Login has
	// returned. Where the socket or the connection knows whether the NO is out, the BYE also waits for
	// that.
	byeDelay = 100 * time.Millisecond
	// byeTimeout is how long a client that does not read may take to accept the BYE, or, where the
	// connection says BYE itself, how long its command goes on waiting.
	byeTimeout = 50 * time.Millisecond
	// endTimeout is how long a refused connection may stay open, whatever its client does.
	endTimeout = 10 * time.Second
)

// An answerer is a connection that knows when the answer to a command is out. It calls the function
// once the answer to the current command has been written.
type answerer interface{ AfterAnswer(func()) }

// A goodbyer is a connection that says BYE itself. It knows where a response ends, and waits until
// the client has read the BYE.
type goodbyer interface{ HangUp(text string) }

// endWith decides that the connection is closed after the answer to the current command. Only the
// first decision counts.
func (s *session) endWith(answer *imap.Error, text string) {
	s.ending.CompareAndSwap(nil, &ending{answer: answer, text: text})
}

// sayBye sends the BYE that endWith decided on, if any, as soon as the answer to the current
// command is out. It is the last thing that a command does.
func (s *session) sayBye() {
	e := s.ending.Load()
	if e == nil {
		return
	}
	s.timers.Lock()
	defer s.timers.Unlock()
	if e.armed || s.closed {
		return
	}
	e.armed = true
	if conn, ok := layers.Find[answerer](s.conn.NetConn()); ok {
		conn.AfterAnswer(func() { go s.hangUp(e.text) })
		s.bye = time.AfterFunc(endTimeout, func() { abort(s.conn.NetConn()) })
		return
	}
	before, knows := s.socket.Written()
	deadline := time.Now().Add(endTimeout)
	s.bye = time.AfterFunc(byeDelay, func() {
		if now, ok := s.socket.Written(); knows && ok && now == before && time.Now().Before(deadline) {
			s.timers.Lock()
			defer s.timers.Unlock()
			if !s.closed {
				s.bye.Reset(byeDelay)
			}
			return
		}
		s.hangUp(e.text)
	})
}

// hangUp sends a BYE and closes the connection, unless that has already begun. It does not use
// Conn.Bye: that waits for a client that does not read, and closes the connection without the lock
// under which STARTTLS changes it. While no command runs, the BYE cannot land inside another line:
// like each answer of less than 4 KB, it is written in one piece.
func (c *client) hangUp(text string) {
	defer c.catchPanic() // of a function in a tls.Config, if the handshake is still to be done
	if c.leaves.Swap(true) {
		return
	}
	conn := c.conn.NetConn()
	defer c.lost()
	if g, ok := layers.Find[goodbyer](conn); ok {
		// HangUp may take two seconds. What waits for the client gives up before that, but not at once:
		// its answer, that the client has hung up, could go out before the BYE.
		soon := time.AfterFunc(byeTimeout, c.lost)
		defer soon.Stop()
		g.HangUp(text)
		return
	}
	kill := time.AfterFunc(byeTimeout, func() { abort(conn) })
	defer kill.Stop()
	defer conn.Close()
	io.WriteString(conn, "* BYE "+text+"\r\n")
}

// hangUpBetween is hangUp for a connection on which a command may be writing. The BYE goes out
// between two of its responses.
func (c *client) hangUpBetween(text string) {
	defer c.catchPanic() // as in hangUp
	conn := c.conn.NetConn()
	if _, ok := layers.Find[goodbyer](conn); ok {
		// Conn.Bye would wait for ever if the backend gives up in the middle of a message.
		c.hangUp(text)
		return
	}
	if c.leaves.Swap(true) {
		return
	}
	kill := time.AfterFunc(byeTimeout, func() { abort(conn) })
	defer kill.Stop()
	defer c.lost()
	c.conn.Bye(text)
}

// abort closes the innermost connection directly. TLS may wait to send its closing message.
func abort(conn net.Conn) { layers.Innermost(conn).Close() }

// endLogin closes the connection after the limiter's own refusal.
func (s *session) endLogin(refusal *imap.Error) error {
	s.endWith(refusal, "["+string(refusal.Code)+"] "+refusal.Text)
	return refusal
}
