package wire

import (
	"errors"
	"os"
	"sync"
	"time"
)

// While a command runs, go-imap reads nothing. A client that sends on fills the socket, and when
// the window is closed its hang-up stays behind what it has sent: nobody sees that nobody is there
// any more. So what a client sends while a command runs for long is read ahead, and a client that
// sends more than anybody has reason to is cut off.

const (
	// aheadInterval is how often connections are looked at. A command that runs for longer than
	// that is one behind which is read ahead.
	aheadInterval = 100 * time.Millisecond
	// maxAhead is how much is read ahead of a session that is logged in. mbsync, which sends a
	// command for each message and does not wait, needs 35 bytes each.
	maxAhead = 1 << 20
	// maxAheadLogin is the same before the login.
	maxAheadLogin = 64 << 10
)

const byeAhead = "[LIMIT] Too much was sent ahead of the answers"

// ahead is what was read ahead of the server.
type ahead struct {
	mu      sync.Mutex
	data    []byte
	err     error         // follows data
	running bool          // somebody reads
	wanted  bool          // the server waits for it
	quit    bool          // nobody is to read any more
	arrived chan struct{} // has room for one
	stopped chan struct{}
}

// watchLocked makes sure that the connections are looked at.
func (g *Guard) watchLocked() {
	if !g.watching {
		g.watching = true
		time.AfterFunc(aheadInterval, g.look)
	}
}

// look begins to read ahead where a command has run since the last look.
func (g *Guard) look() {
	for _, c := range g.all() {
		c.look()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watching = false
	if g.sockets > 0 {
		g.watchLocked()
	}
}

func (c *conn) look() {
	if c.socket == nil {
		return
	}
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	l := &c.life
	busy := !l.reading && l.turns > 0 && l.turns == c.lastTurns
	c.lastTurns = l.turns
	// A message is as long as it is, and its backend as slow: that is nothing sent ahead.
	if !busy || l.message || l.ended || l.ahead != nil || c.dialogue.current() == startTLSCommand ||
		unreadBytes(c.socket) == 0 {
		return
	}
	l.ahead = &ahead{
		running: true, arrived: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	c.NetConn().SetReadDeadline(time.Time{})
	go c.readAhead(l.ahead)
}

// readAhead reads until the server does that again.
func (c *conn) readAhead(a *ahead) {
	defer close(a.stopped)
	most := maxAhead
	if !c.dialogue.loggedIn() {
		most = maxAheadLogin
	}
	inner := c.NetConn()
	buf := make([]byte, 16<<10)
	for {
		n, err := inner.Read(buf)
		if a.add(buf[:n], err) {
			return
		}
		if err != nil {
			inner.SetReadDeadline(time.Time{}) // the server was about to set one
		}
		if a.size() > most {
			c.cutOff()
		}
	}
}

// add adds what was read, and tells whether that was the last.
func (a *ahead) add(data []byte, err error) (last bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.data = append(a.data, data...)
	last = a.quit || a.wanted && len(data) > 0
	if err != nil && (a.wanted || !errors.Is(err, os.ErrDeadlineExceeded)) {
		last = true
		if !a.quit {
			a.err = err
		}
	}
	a.running = !last
	select {
	case a.arrived <- struct{}{}:
	default:
	}
	return last
}

func (a *ahead) size() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.data)
}

// readAheadOf is Read of a connection of which something was read ahead.
func (c *conn) readAheadOf(a *ahead, p []byte) (int, error) {
	for {
		a.mu.Lock()
		n := copy(p, a.data)
		a.data = a.data[n:]
		err, running := a.err, a.running
		a.wanted = n == 0 && running
		a.mu.Unlock()
		switch {
		case n > 0:
			return n, nil
		case running:
			c.NetConn().SetReadDeadline(c.life.readDeadline())
			<-a.arrived
		default:
			c.life.endAhead()
			c.NetConn().SetReadDeadline(c.life.readDeadline())
			if err != nil {
				return 0, err
			}
			return c.NetConn().Read(p)
		}
	}
}

func (l *life) readDeadline() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deadline
}

func (l *life) endAhead() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead = nil
}

// takeAhead ends to read ahead, and returns what there was.
func (c *conn) takeAhead() []byte {
	c.life.mu.Lock()
	a := c.life.ahead
	c.life.mu.Unlock()
	if a == nil {
		return nil
	}
	a.mu.Lock()
	running := a.running
	a.quit = true
	a.mu.Unlock()
	inner := c.NetConn()
	if running {
		inner.SetReadDeadline(time.Now())
		<-a.stopped
	}
	c.life.endAhead()
	inner.SetReadDeadline(c.life.readDeadline())
	return a.data
}

// cutOff ends a connection on which a command runs: with a BYE, if no answer is being written.
func (c *conn) cutOff() {
	conn := c.NetConn()
	if c.writing.TryLock() {
		if c.responses.betweenLines() {
			sayGoodbye(conn, byeAhead)
		}
		c.writing.Unlock()
	}
	conn.Close()
}
