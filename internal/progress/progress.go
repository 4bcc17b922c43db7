// Package progress tells a client at intervals that its command is not forgotten, with an
// INPROGRESS response (RFC 9585).
//
// The responses are written directly to the connection, past the IMAP server. That is safe while
// the session works on a command of the client and has not written half a response: then nobody
// else writes, and whole lines are as good as the server's own.
package progress

import (
	"io"
	"net"
	"sync"
	"time"

	"github.com/imapgate/imapgate/internal/clock"
	"github.com/imapgate/imapgate/internal/layers"
)

// writeTimeout is how long a client that does not read may take to accept a response. It must be
// short: the command's own answer waits for it.
const writeTimeout = 2 * time.Second

// Tell writes one response. If that fails, Tell closes the connection, as part of the line may be
// sent, and returns false. The text must not come from a client.
func Tell(conn net.Conn, text string) bool {
	conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := io.WriteString(conn, "* OK [INPROGRESS] "+text+"\r\n")
	conn.SetWriteDeadline(time.Time{})
	if err != nil {
		layers.Innermost(conn).Close() // TLS would wait 5 s more, to tell the client
	}
	return err == nil
}

// A Notice tells the client of a session at intervals how its command proceeds. It serves one
// command after another. Say, Stop and End do nothing for a nil one, and before the first Start. It
// is safe for concurrent use.
//
// The timer is made once for a session, and keeps running when a command is over. Most commands are
// over long before it fires, and stopping and starting it for each would cost more than letting it
// fire for nothing.
type Notice struct {
	// Conn returns the client's connection. It must not change.
	Conn func() net.Conn

	mu       sync.Mutex
	interval time.Duration
	running  bool // there is a command to tell of
	lost     func()
	text     string
	until    clock.Instant // zero if there is none
	timer    *time.Timer   // nil before the first Start
	writing  chan struct{} // closed when the current line is written; nil if none is being written

	due     clock.Instant
	goesOff clock.Instant // zero if the timer is not set
}

// A Command is what a Notice tells the client about.
type Command struct {
	Interval time.Duration // if not positive, nothing is told
	Text     string
	Until    time.Time     // when the answer comes in any case, so nothing is told; zero: no limit
	Now      clock.Instant // the time, if the caller has just read it; zero: Start reads it
	// Lost is called once if a line could not be written, unless nil. The connection is then closed,
	// and nothing more is told. It must not call the Notice.
	Lost func()
}

// Start tells the client the text at each interval, first one interval from now, until Stop.
func (n *Notice) Start(c Command) {
	if c.Interval <= 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := c.Now
	if now == 0 {
		now = clock.Now()
	}
	n.interval, n.running, n.lost = c.Interval, true, c.Lost
	n.text, n.until, n.due = c.Text, 0, now.Add(n.interval)
	if !c.Until.IsZero() {
		n.until = now.Add(time.Until(c.Until))
	}
	switch {
	case n.timer == nil:
		n.timer, n.goesOff = time.AfterFunc(c.Interval, n.goOff), n.due
	case n.goesOff == 0 || n.due < n.goesOff:
		n.setLocked(now)
	}
}

// Say changes the text, and drops Until. The times stay the same.
func (n *Notice) Say(text string) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text, n.until = text, 0
	if n.running && n.goesOff == 0 && n.writing == nil {
		n.setLocked(clock.Now()) // Until was reached
	}
}

// Stop ends what Start began. It waits for a line that is being written, so that the server does
// not write into that line. It may be called again, or without a Start.
func (n *Notice) Stop() {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.running = false
	writing := n.writing
	n.mu.Unlock()
	if writing != nil {
		<-writing
	}
}

// End is Stop at the end of the session: it also stops the timer.
func (n *Notice) End() {
	if n == nil {
		return
	}
	n.Stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.timer != nil {
		n.timer.Stop()
		n.goesOff = 0
	}
}

// goOff writes the line that is due. It holds no lock meanwhile; only Stop waits for it.
func (n *Notice) goOff() {
	text, lost, due := n.take()
	if !due {
		return
	}
	told := Tell(n.Conn(), text)
	if !told && lost != nil {
		lost()
	}
	n.wrote(told)
}

// take returns the line that is due now. If due is true, wrote must be called.
func (n *Notice) take() (text string, lost func(), due bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.goesOff = 0
	now := clock.Now()
	switch {
	case !n.running || n.until != 0 && now >= n.until:
		return "", nil, false
	case now < n.due: // the timer was set for an earlier command
		n.setLocked(now)
		return "", nil, false
	}
	n.writing = make(chan struct{})
	return n.text, n.lost, true
}

// wrote sets the timer for the next line, if there is one.
func (n *Notice) wrote(told bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.writing)
	n.writing = nil
	switch {
	case !told:
		n.running = false
	case n.running:
		now := clock.Now()
		n.due = now.Add(n.interval)
		n.setLocked(now)
	}
}

// setLocked sets the timer to the time of the next line.
func (n *Notice) setLocked(now clock.Instant) {
	n.goesOff = n.due
	n.timer.Reset(time.Duration(n.due - now))
}
