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
// command after the other. The zero Notice is ready, and Say, Stop and End do nothing for a nil
// one. Its methods may be called from several goroutines at once.
//
// The timer is made once for a session, and goes on when a command is over: most are over long
// before it goes off, and to stop and start it for each would cost them more than to let it find
// nothing to tell.
type Notice struct {
	mu      sync.Mutex
	command Command
	running bool // one is told of
	text    string
	until   time.Time
	timer   *time.Timer   // nil before the first Start
	writing chan struct{} // closed when the line that is being written is out; nil if none is

	// Times since the first Start: to read one takes half of what time.Now takes.
	first   time.Time
	due     time.Duration
	goesOff time.Duration // zero if the timer does not go
}

// A Command is what a client is told about.
type Command struct {
	Conn     net.Conn
	Interval time.Duration // not positive: nothing is told
	Text     string
	Until    time.Time // nothing is told from then on, when the answer comes in any case; zero: no end
	// Lost is called once if a line could not be written. The connection is closed by then, and
	// nothing more is told. Nil calls nothing. It must not call the Notice.
	Lost func()
}

// Start tells the client at each interval, from one interval after now, until Stop is called.
func (n *Notice) Start(c Command) {
	if c.Interval <= 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.timer == nil {
		n.first = time.Now()
	}
	now := time.Since(n.first)
	n.command, n.running = c, true
	n.text, n.until, n.due = c.Text, c.Until, now+c.Interval
	switch {
	case n.timer == nil:
		n.timer, n.goesOff = time.AfterFunc(c.Interval, n.goOff), n.due
	case n.goesOff == 0 || n.due < n.goesOff:
		n.setLocked(now)
	}
}

// Say changes what is told from now on, without an end, but not when.
func (n *Notice) Say(text string) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text, n.until = text, time.Time{}
	if n.running && n.goesOff == 0 && n.writing == nil {
		n.setLocked(time.Since(n.first)) // it had come to its end
	}
}

// Stop ends what Start began. It waits for a line that is being written: what the server writes
// then must not get into it. It may be called again, and without a Start.
func (n *Notice) Stop() {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.command, n.running = Command{}, false
	writing := n.writing
	n.mu.Unlock()
	if writing != nil {
		<-writing
	}
}

// End stops the timer as well. It is for the end of the session.
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

// goOff tells what is due. The lock is not held meanwhile, only Stop waits for it.
func (n *Notice) goOff() {
	c, text, due := n.take()
	if !due {
		return
	}
	told := Tell(c.Conn, text)
	if !told && c.Lost != nil {
		c.Lost()
	}
	n.wrote(told)
}

// take returns what is to be told now. If that is something, wrote must be called.
func (n *Notice) take() (c Command, text string, due bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.goesOff = 0
	now := time.Since(n.first)
	switch {
	case !n.running || !n.until.IsZero() && now >= n.until.Sub(n.first):
		return Command{}, "", false
	case now < n.due: // the timer was set for an earlier command
		n.setLocked(now)
		return Command{}, "", false
	}
	n.writing = make(chan struct{})
	return n.command, n.text, true
}

// wrote sets the timer for the next line, if there is to be one.
func (n *Notice) wrote(told bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.writing)
	n.writing = nil
	switch {
	case !told:
		n.command, n.running = Command{}, false
	case n.running:
		now := time.Since(n.first)
		n.due = now + n.command.Interval
		n.setLocked(now)
	}
}

// setLocked lets the timer go off when something is due.
func (n *Notice) setLocked(now time.Duration) {
	n.goesOff = n.due
	n.timer.Reset(n.due - now)
}
