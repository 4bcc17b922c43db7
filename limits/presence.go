package limits

import (
	"context"
	"time"

	"github.com/imapgate/imapgate/internal/clock"
	"github.com/imapgate/imapgate/internal/progress"
)

// watch calls lost when the client has hung up or was disconnected, at most once and perhaps from
// another goroutine, until stop is called. stop waits for a call that has begun, so lost must be
// quick. Only one command may watch at a time.
func (c *client) watch(lost func()) (stop func()) {
	c.presence.mu.Lock()
	c.presence.lost = lost
	c.presence.mu.Unlock()
	watch := c.limiter.watcher.Watch(c.socket, c.lost)
	if c.socket.HungUp() {
		c.lost()
	}
	stopOuter := c.watchOuter()
	return func() {
		watch.Stop()
		stopOuter()
		c.presence.mu.Lock()
		c.presence.lost = nil
		c.presence.mu.Unlock()
	}
}

// watchOuter calls lost when the Limiter around this one stops the command, until stop is called.
// No call is under way after stop, as the next command would take it for its own.
func (c *client) watchOuter() (stop func()) {
	if c.presence.outer == nil {
		return func() {}
	}
	called := make(chan struct{})
	stopCall := context.AfterFunc(c.presence.outer, func() {
		defer close(called)
		c.lost()
	})
	return func() {
		if !stopCall() {
			<-called
		}
	}
}

// lost calls the function that the current command gave to watch: its client is gone.
func (c *client) lost() {
	c.presence.mu.Lock()
	defer c.presence.mu.Unlock()
	if lost := c.presence.lost; lost != nil {
		c.presence.lost = nil
		lost()
	}
}

// wait is the wait of a command or a login. It notices when the client hangs up.
type wait struct {
	gone      chan struct{} // closed when the client is gone
	stopWatch func()
}

// wait begins a wait. The caller must call endWait.
func (s *session) wait() *wait {
	w := &wait{gone: make(chan struct{})}
	s.activity.setWaiting(true)
	w.stopWatch = s.watch(func() { close(w.gone) })
	return w
}

// The texts of progress notices, for a command that waits or runs.
const (
	textWaiting = "The command waits for its turn"
	textRunning = "The command is running"
)

// startWaitNotice starts notices that the command waits. They stop when the queue's timeout is
// over.
func (s *session) startWaitNotice(q *queue) {
	var until time.Time
	if timeout := s.timeout(q); timeout > 0 {
		until = time.Now().Add(timeout)
	}
	s.startNotice(textWaiting, 0, until)
}

// startNotice sends the client the text at each ProgressInterval, if it has one, until a time if
// that is not zero. now is the time if it is known, otherwise zero. A client to which a notice
// cannot be written counts as gone.
func (s *session) startNotice(text string, now clock.Instant, until time.Time) {
	interval := s.limits.Load().ProgressInterval
	if interval <= 0 {
		return
	}
	if s.notice == nil {
		s.notice = &progress.Notice{Conn: s.conn.NetConn}
	}
	s.notice.Start(progress.Command{
		Interval: interval, Text: text, Until: until, Now: now, Lost: s.whenLost,
	})
}

func (s *session) endWait(w *wait) {
	s.notice.Stop()
	w.stopWatch()
	s.activity.setWaiting(false)
	s.began = 0
}
