// Package progress tells a client now and then that its command is not forgotten, by an INPROGRESS
// response (RFC 9585).
//
// The responses are written to the connection, around the IMAP server. That is safe while the
// session works on a command of the client and has written nothing that is unfinished: then nobody
// else writes, and whole lines are as good as the server's own.
package progress

import (
	"io"
	"net"
	"sync"
	"time"
)

// writeTimeout is how long a client that does not read is given to take a response. It may not be
// long: the command's own answer waits for it.
const writeTimeout = 2 * time.Second

// Tell writes one response. If that fails, it closes the connection, for a piece of the line may be
// out, and returns false. The text must not come from a client.
func Tell(conn net.Conn, text string) bool {
	conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := io.WriteString(conn, "* OK [INPROGRESS] "+text+"\r\n")
	conn.SetWriteDeadline(time.Time{})
	if err != nil {
		conn.Close()
	}
	return err == nil
}

// A Notice tells the client of a session at intervals how its command gets on. It serves one
// command after the other. The zero Notice is ready. Its methods may be called from several
// goroutines at once.
//
// The timer is made once for a session, and goes on when a command is over: most are over long
// before it goes off, and to stop and start it for each would cost them more than to let it find
// nothing to tell.
type Notice struct {
	mu       sync.Mutex
	conn     net.Conn // nil while no command runs
	text     string
	interval time.Duration
	lost     func()
	due      time.Time
	timer    *time.Timer
	goesOff  time.Time     // zero if the timer does not go
	writing  chan struct{} // closed when the line that is being written is out; nil if none is
}

// Start tells the client of conn the text at each interval, from one interval after now, until Stop
// is called. If it cannot, it closes the connection, calls lost once, which may be nil, and tells
// no more. An interval that is not positive tells nothing.
func (n *Notice) Start(conn net.Conn, interval time.Duration, text string, lost func()) {
	if interval <= 0 {
		return
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conn, n.interval, n.text, n.lost, n.due = conn, interval, text, lost, now.Add(interval)
	switch {
	case n.timer == nil:
		n.timer, n.goesOff = time.AfterFunc(interval, n.goOff), n.due
	case n.goesOff.IsZero() || n.due.Before(n.goesOff):
		n.setLocked(now)
	}
}

// Say changes the text of a Notice that was started, and not when it is told.
func (n *Notice) Say(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text = text
}

// Stop ends what Start began. It waits for a line that is being written: what the server writes
// then must not get into it. It may be called again, and without a Start.
func (n *Notice) Stop() {
	n.mu.Lock()
	n.conn, n.lost = nil, nil
	writing := n.writing
	n.mu.Unlock()
	if writing != nil {
		<-writing
	}
}

// End stops the timer as well. It is for the end of the session.
func (n *Notice) End() {
	n.Stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.timer != nil {
		n.timer.Stop()
		n.goesOff = time.Time{}
	}
}

// goOff tells what is due. The lock is not held meanwhile, only Stop waits for it.
func (n *Notice) goOff() {
	n.mu.Lock()
	n.goesOff = time.Time{}
	now, conn, text, lost := time.Now(), n.conn, n.text, n.lost
	if conn == nil {
		n.mu.Unlock()
		return
	}
	if now.Before(n.due) { // the timer was set for an earlier command
		n.setLocked(now)
		n.mu.Unlock()
		return
	}
	writing := make(chan struct{})
	n.writing = writing
	n.mu.Unlock()

	defer close(writing)
	told := Tell(conn, text)
	n.wrote(told)
	if !told && lost != nil {
		lost()
	}
}

// wrote sets the timer for the next line, unless there is none.
func (n *Notice) wrote(told bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.writing = nil
	switch {
	case !told:
		n.conn, n.lost = nil, nil
	case n.conn != nil:
		now := time.Now()
		n.due = now.Add(n.interval)
		n.setLocked(now)
	}
}

// setLocked lets the timer go off when something is due.
func (n *Notice) setLocked(now time.Time) {
	n.goesOff = n.due
	n.timer.Reset(n.due.Sub(now))
}
