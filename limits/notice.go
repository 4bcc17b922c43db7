package limits

import (
	"io"
	"sync"
	"time"
)

const (
	textWaiting = "The command waits for its turn"
	textRunning = "The command is running"
)

// noticeTimeout is how long a client that does not read is given to take a notice. It may not be
// long: the command's own answer waits for it.
const noticeTimeout = 2 * time.Second

// notice tells a client from time to time that its command is not forgotten (RFC 9585). Its timer is
// made once for a session, and goes on when a command is over: most are over long before it goes
// off, and to stop and start it for each would cost more than to let it find nothing to tell.
type notice struct {
	mu      sync.Mutex
	text    string // "" if there is nothing to tell
	due     time.Time
	until   time.Time // when the answer comes in any case; zero if nobody knows
	timer   *time.Timer
	goesOff time.Time // zero if the timer does not go
}

// start tells the client so at each interval, if it has one, until stop is called, and before until
// if that is not zero.
func (n *notice) start(c *client, text string, until time.Time) {
	interval := c.limits.Load().ProgressInterval
	if interval <= 0 {
		return
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text, n.due, n.until = text, now.Add(interval), until
	if n.timer == nil {
		n.timer = time.AfterFunc(interval, func() { n.tell(c) })
		n.goesOff = n.due
	} else if n.goesOff.IsZero() || n.due.Before(n.goesOff) {
		n.setLocked(now)
	}
}

// change changes what is told, if anything is, from now on without an end.
func (n *notice) change(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.text != "" {
		n.text, n.until = text, time.Time{}
	}
}

// stop waits for a line that is being written: what the server answers then must not get into it.
func (n *notice) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text = ""
}

// end stops the timer as well.
func (n *notice) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text = ""
	if n.timer != nil {
		n.timer.Stop()
	}
}

// tell writes the line if it is due. If that fails, a piece of it may be out: then the connection is
// closed, and the client gone.
func (n *notice) tell(c *client) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.goesOff = time.Time{}
	now := time.Now()
	switch interval := c.limits.Load().ProgressInterval; {
	case n.text == "" || interval <= 0 || !n.until.IsZero() && !now.Before(n.until):
		return
	case !now.Before(n.due):
		n.due = now.Add(interval)
		if !c.writeNotice(now, n.text) {
			n.text = ""
			c.lost()
			return
		}
	}
	n.setLocked(now)
}

func (c *client) writeNotice(now time.Time, text string) bool {
	conn := c.conn.NetConn()
	conn.SetWriteDeadline(now.Add(noticeTimeout))
	_, err := io.WriteString(conn, "* OK [INPROGRESS] "+text+"\r\n")
	conn.SetWriteDeadline(time.Time{})
	if err != nil {
		conn.Close()
	}
	return err == nil
}

// setLocked lets the timer go off when something is due.
func (n *notice) setLocked(now time.Time) {
	n.goesOff = n.due
	n.timer.Reset(n.goesOff.Sub(now))
}
