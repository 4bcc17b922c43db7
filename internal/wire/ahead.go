package wire

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/imapgate/imapgate/internal/layers"
)

// While a command runs, go-imap reads nothing. If the client keeps sending, the TCP window closes,
// and then its hang-up cannot arrive: nobody would notice that the client is gone. So the guard
// reads ahead while a command runs long. It cuts off a client that sends more than any client needs
// to.

const (
	// aheadInterval is how often connections are checked. The guard reads ahead only while a command
	// runs longer than this.
	aheadInterval = 100 * time.Millisecond
	// maxAhead is how many bytes are read ahead of a session that is logged in. mbsync sends a command
	// for each message without waiting, and needs 35 bytes each.
	maxAhead = 1 << 20
	// maxAheadLogin is the same before login. A client then has nothing to send ahead of an answer.
	maxAheadLogin = 8 << 10
)

const byeAhead = "[LIMIT] Too much was sent ahead of the answers"

// ahead holds what was read ahead of the server.
type ahead struct {
	mu      sync.Mutex
	data    []byte
	err     error         // comes after data
	running bool          // readAhead still reads
	wanted  bool          // the server waits for data
	quit    bool          // readAhead must stop
	arrived chan struct{} // has room for one signal
	stopped chan struct{} // closed when readAhead has stopped
}

// watchLocked schedules the next look, unless one is scheduled already.
func (g *Guard) watchLocked() {
	if !g.watching {
		g.watching = true
		time.AfterFunc(aheadInterval, g.look)
	}
}

// look begins to read ahead on connections whose server has not read since the last look.
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
	if !l.ended {
		c.applyDeadlinesLocked()
	}
	busy := l.doing == works && l.turns > 0 && l.turns == c.lastTurns
	c.lastTurns = l.turns
	if !busy || l.noAhead || l.ended || c.dialogue.current() == startTLSCommand ||
		unreadBytes(c.socket) == 0 {
		return
	}
	if l.ahead == nil {
		l.ahead = &ahead{arrived: make(chan struct{}, 1)}
	}
	if stopped := l.ahead.start(); stopped != nil {
		c.NetConn().SetReadDeadline(time.Time{})
		go c.readAhead(l.ahead, stopped)
	}
}

// start notes that readAhead runs from now on, and returns what it must close when it stops, or nil
// if it runs already.
func (a *ahead) start() (stopped chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running {
		return nil
	}
	a.running, a.quit, a.stopped = true, false, make(chan struct{})
	return a.stopped
}

// readAhead reads until the server takes over.
func (c *conn) readAhead(a *ahead, stopped chan struct{}) {
	defer close(stopped)
	inner := c.NetConn()
	buffer := scratch.Get().(*[bufferSize]byte)
	defer scratch.Put(buffer)
	for {
		n, err := inner.Read(buffer[:])
		if a.add(buffer[:n], err, c.life.hasEnded()) {
			return
		}
		if err != nil {
			inner.SetReadDeadline(time.Time{}) // not one of the server
		}
		if size := a.size(); size > maxAhead || size > maxAheadLogin && !c.dialogue.loggedIn() {
			c.cutOff()
		}
	}
}

// add stores what was read, and reports whether readAhead must stop. A deadline that passes is none
// of the server's, unless the server waits for data. If the connection has ended, it is that of
// linger, which waits for the same socket.
func (a *ahead) add(data []byte, err error, ended bool) (last bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.data = append(a.data, data...)
	last = a.quit || a.wanted && len(data) > 0
	if err != nil && (a.wanted || ended || !errors.Is(err, os.ErrDeadlineExceeded)) {
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

// readAheadOf is Read for a connection that has been read ahead.
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
			c.renewReadDeadline()
			<-a.arrived
		default:
			c.life.endAhead()
			c.renewReadDeadline()
			if err != nil {
				return 0, err
			}
			return c.NetConn().Read(p)
		}
	}
}

func (l *life) endAhead() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead = nil
}

// stopAhead stops reading ahead until the server reads again. The server still gets what was read.
func (c *conn) stopAhead() *ahead {
	c.life.mu.Lock()
	c.life.noAhead = true
	a := c.life.ahead
	c.life.mu.Unlock()
	if a == nil {
		return nil
	}
	a.mu.Lock()
	running := a.running
	a.quit = true
	a.mu.Unlock()
	if running {
		c.NetConn().SetReadDeadline(time.Now())
		<-a.stopped
	}
	return a
}

// takeAhead stops reading ahead, and returns what was read.
func (c *conn) takeAhead() []byte {
	a := c.stopAhead()
	if a == nil {
		return nil
	}
	c.life.endAhead()
	c.renewReadDeadline()
	return a.data
}

// cutOff closes a connection on which a command runs. It says BYE first, unless an answer is being
// written.
func (c *conn) cutOff() {
	c.life.end()
	conn := c.NetConn()
	said := false
	if c.writing.TryLock() {
		conn.SetWriteDeadline(time.Now().Add(byeTimeout))
		said = c.betweenLines() && c.write(nil) == nil && sayGoodbye(conn, byeAhead)
		c.writing.Unlock()
	}
	if !said {
		layers.Innermost(conn).Close() // as in goodbye
	}
	conn.Close()
}
