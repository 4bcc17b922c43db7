package wire

import (
	"sync"
	"time"
)

// life is where a connection stands: whether the server reads or works, and whether it is to end.
type life struct {
	mu       sync.Mutex
	turns    uint32 // how often the server has begun or ended to read
	reading  bool   // it reads now
	mayEnd   bool   // it reads now, and no command runs
	message  bool   // what it read last was of the message of an APPEND
	draining bool
	ended    bool
	deadline time.Time // of the server, for reading
	ahead    *ahead    // not nil while something is read ahead
}

// enter notes that the server reads from the client, and whether no command runs. It returns where
// from, if something has been read ahead; ok is false if the connection is to end instead.
func (l *life) enter(mayEnd bool) (_ *ahead, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if mayEnd && l.draining {
		return nil, false
	}
	l.turns++
	l.reading, l.mayEnd, l.message = true, mayEnd, !mayEnd
	return l.ahead, true
}

// leave notes that the server has read. If ok is false, the connection was ended meanwhile.
func (l *life) leave() (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turns++
	l.reading, l.mayEnd = false, false
	return !l.ended
}

func (l *life) isDraining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.draining
}

// drain has the connection end. It tells whether no command runs, so that the caller ends it.
func (l *life) drain() (now bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining || l.ended {
		return false
	}
	l.draining = true
	l.ended = l.mayEnd
	return l.ended
}

// end notes that the connection is over.
func (l *life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// setDeadline keeps the deadline. It tells whether that is all, because something is read ahead.
func (l *life) setDeadline(t time.Time) (kept bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = t
	return l.ahead != nil
}

// drain ends the connection as soon as no command runs on it.
func (c *conn) drain(text string) {
	switch now := c.life.drain(); {
	case c.shaking():
		go c.Close() // there is no way to say anything
	case now:
		go func() {
			c.goodbye(text)
			c.Close()
		}()
	}
}

// goodbye says BYE, unless something else is being written and does not end, and waits until the
// client has read it. The connection is of no use afterwards.
func (c *conn) goodbye(text string) {
	conn := c.NetConn()
	conn.SetWriteDeadline(time.Now().Add(byeTimeout))
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.responses.betweenLines() && !c.shaking() {
		sayGoodbye(conn, text)
	}
}
