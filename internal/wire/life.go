package wire

import (
	"sync"
	"time"

	"github.com/imapgate/imapgate/internal/layers"
)

// doing is what the server does with a connection.
type doing uint8

const (
	works  doing = iota
	reads        // the rest of a message
	awaits       // reads, and no command runs, so that the connection may end
)

// life is the state of a connection: whether the server reads or works, and whether it must end.
type life struct {
	mu       sync.Mutex
	turns    uint32 // how often the server has begun or finished a read
	doing    doing
	noAhead  bool // nothing is read ahead until the server reads again
	draining bool
	ended    bool
	ahead    *ahead         // nil if nothing is read ahead
	farewell sync.WaitGroup // another goroutine says goodbye

	reads, writes deadline // of the server
}

// enter notes that the server begins to read, and whether no command runs. It returns what was read
// ahead, or nil; ok is false if the connection must end instead.
func (l *life) enter(mayEnd bool) (_ *ahead, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if mayEnd && l.draining {
		return nil, false
	}
	l.turns++
	l.doing, l.noAhead = reads, !mayEnd
	if mayEnd {
		l.doing = awaits
	}
	return l.ahead, true
}

// leave notes that the server has read; ok is false if the connection has ended meanwhile.
func (l *life) leave() (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turns++
	l.doing = works
	return !l.ended
}

func (l *life) hasEnded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

func (l *life) isDraining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.draining
}

// drain notes that the connection must end. If it returns true, no command runs, and the caller
// must end it now, with depart.
func (l *life) drain() (now bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining || l.ended {
		return false
	}
	l.draining = true
	if l.doing == awaits {
		l.ended = true
		l.farewell.Add(1)
	}
	return l.ended
}

// takeLeave notes that the connection is over. If it returns true, it was not over before, and the
// caller must end it now, with depart.
func (l *life) takeLeave() (now bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.ended = true
	l.farewell.Add(1)
	return true
}

// end notes that the connection is over.
func (l *life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// CloseAll closes the connections, all at the same time.
func (g *Guard) CloseAll() {
	var closing sync.WaitGroup
	for _, c := range g.all() {
		closing.Go(func() { c.Close() })
	}
	closing.Wait()
}

// drain ends the connection as soon as no command runs on it.
func (c *conn) drain(text string) {
	switch now := c.life.drain(); {
	case now:
		go c.depart(text)
	case c.shaking():
		go c.Close() // before the handshake nothing can be said
	}
}

// HangUp says BYE with the text, between two responses, and closes the connection. A client that
// does not take the BYE, or does not close its own side, delays that by a second each. If the
// connection is over already, whoever ended it closes it, and HangUp does nothing.
func (c *conn) HangUp(text string) {
	if c.life.takeLeave() {
		c.depart(text)
	}
}

// depart says goodbye and closes the connection. Until it has said goodbye, Close of the server
// waits.
func (c *conn) depart(text string) {
	func() {
		defer c.life.farewell.Done()
		c.goodbye(text)
	}()
	c.Close()
}

// goodbye says BYE and waits until the client has read it. It says nothing if another response is
// stuck halfway. The connection is of no use afterwards.
func (c *conn) goodbye(text string) {
	c.life.end()
	if c.shaking() {
		return // a handshake may hold writing for 10 s, and nothing can be said before its end
	}
	c.NetConn().SetWriteDeadline(time.Now().Add(byeTimeout))
	c.lockBetweenLines()
	defer c.writing.Unlock()
	conn := c.NetConn() // STARTTLS may just have changed it
	said := c.betweenLines() && !c.shaking() && c.write(nil) == nil && sayGoodbye(conn, text)
	if !said {
		layers.Innermost(conn).Close() // TLS would wait 5 s for a client that does not read
	}
}

// lockBetweenLines locks writing, and waits for the end of the response that is being written, but
// not longer than the deadline for that. The backend may write the next one at once, so it looks
// often.
func (c *conn) lockBetweenLines() {
	for end := time.Now().Add(byeTimeout); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if !c.writing.TryLock() {
			continue
		}
		if c.held.torn || c.betweenLines() {
			return
		}
		c.writing.Unlock()
	}
	c.writing.Lock()
}
