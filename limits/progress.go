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

// progressTimeout is how long a client that does not read is given to take an INPROGRESS response.
// It may not be long: the command's own answer waits for it.
const progressTimeout = 2 * time.Second

// progress tells a client from time to time that its command is not forgotten (RFC 9585). The zero
// progress tells nothing.
type progress struct {
	text     string
	interval time.Duration
	due      time.Time
}

func newProgress(text string, interval time.Duration, start time.Time) progress {
	p := progress{text: text, interval: interval}
	if interval > 0 {
		p.due = start.Add(interval)
	}
	return p
}

// tell sends the response if it is due. It returns false if that failed: then the connection is
// closed, for a piece of the line may be out.
func (p *progress) tell(c *client, now time.Time) bool {
	if p.due.IsZero() || now.Before(p.due) {
		return true
	}
	p.due = now.Add(p.interval)
	conn := c.conn.NetConn()
	conn.SetWriteDeadline(now.Add(progressTimeout))
	_, err := io.WriteString(conn, "* OK [INPROGRESS] "+p.text+"\r\n")
	conn.SetWriteDeadline(time.Time{})
	if err != nil {
		conn.Close()
	}
	return err == nil
}

// notice tells a client that its command runs. Its timer is made once for a session, and goes on
// when a command is over: most are over long before it goes off, and to stop and start it for each
// would cost them more than to let it find nothing to tell.
type notice struct {
	mu       sync.Mutex
	progress progress
	running  bool
	timer    *time.Timer
	goesOff  time.Time // zero if the timer does not go
}

// start tells the client at each interval, if that is not zero, until stop is called.
func (n *notice) start(c *client, interval time.Duration) {
	if interval <= 0 {
		return
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.progress, n.running = newProgress(textRunning, interval, now), true
	if n.timer == nil {
		n.timer = time.AfterFunc(interval, func() { n.tell(c) })
		n.goesOff = n.progress.due
	} else if n.goesOff.IsZero() || n.progress.due.Before(n.goesOff) {
		n.setLocked(now)
	}
}

// stop waits for a line that is being written: what the server answers then must not get into it.
func (n *notice) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running = false
}

// end stops the timer as well.
func (n *notice) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running = false
	if n.timer != nil {
		n.timer.Stop()
	}
}

func (n *notice) tell(c *client) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.goesOff = time.Time{}
	if now := time.Now(); n.running && n.progress.tell(c, now) {
		n.setLocked(now)
	}
}

// setLocked lets the timer go off when something is due.
func (n *notice) setLocked(now time.Time) {
	n.goesOff = n.progress.due
	n.timer.Reset(n.goesOff.Sub(now))
}
