package limits

import (
	"context"
	"time"

	"github.com/imapgate/imapgate/internal/progress"
)

// watch calls lost, at most once and perhaps from another goroutine, when the client has hung up or
// was disconnected, until stop is called. There is one command at a time.
func (c *client) watch(lost func()) (stop func()) {
	c.presence.mu.Lock()
	c.presence.lost = lost
	c.presence.mu.Unlock()
	watch := c.limiter.watcher.Watch(c.socket, c.lost)
	if c.socket.HungUp() {
		c.lost()
	}
	stopOuter := func() bool { return true }
	if c.presence.outer != nil {
		stopOuter = context.AfterFunc(c.presence.outer, c.lost)
	}
	return func() {
		watch.Stop()
		stopOuter()
		c.presence.mu.Lock()
		c.presence.lost = nil
		c.presence.mu.Unlock()
	}
}

// lost tells the command that goes on that its client is gone.
func (c *client) lost() {
	c.presence.mu.Lock()
	lost := c.presence.lost
	c.presence.lost = nil
	c.presence.mu.Unlock()
	if lost != nil {
		lost()
	}
}

// wait is a client that waits: it is noticed when it hangs up.
type wait struct {
	gone      chan struct{} // closed when the client is gone
	stopWatch func()
}

// wait begins a wait. It must be ended.
func (s *session) wait() *wait {
	w := &wait{gone: make(chan struct{})}
	s.activity.setWaiting(true)
	w.stopWatch = s.watch(func() { close(w.gone) })
	return w
}

// What a client whose command waits or runs is told now and then.
const (
	textWaiting = "The command waits for its turn"
	textRunning = "The command is running"
)

// startWaitNotice tells the client now and then that its command waits, until the queue's time is
// up.
func (s *session) startWaitNotice(q *queue) {
	var until time.Time
	if timeout := s.timeout(q); timeout > 0 {
		until = time.Now().Add(timeout)
	}
	s.startNotice(textWaiting, until)
}

// startNotice tells the client the text at each ProgressInterval, if it has one, before until if
// that is not zero. A client that cannot be told is gone.
func (s *session) startNotice(text string, until time.Time) {
	interval := s.limits.Load().ProgressInterval
	if interval <= 0 {
		return
	}
	if s.notice == nil {
		s.notice = new(progress.Notice)
	}
	s.notice.Start(progress.Command{
		Conn: s.conn.NetConn(), Interval: interval,
		Text: text, Until: until, Lost: s.whenLost,
	})
}

// endWait ends the wait.
func (s *session) endWait(w *wait) {
	s.notice.Stop()
	w.stopWatch()
	s.activity.setWaiting(false)
}
