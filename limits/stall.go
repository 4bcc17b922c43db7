package limits

import (
	"sync/atomic"
	"time"
)

// stalls looks now and then at the connections on which a FETCH runs, and closes those whose client
// takes nothing of what is sent. It has a timer only while FETCHes run.
type stalls struct {
	watching atomic.Bool
}

// watch makes sure that the connections are looked at, if there is a StallTimeout.
func (w *stalls) watch(l *Limiter) {
	if l.settings.Load().StallTimeout > 0 && !w.watching.Swap(true) {
		w.again(l)
	}
}

func (w *stalls) again(l *Limiter) {
	// A client is found out at most a quarter late.
	time.AfterFunc(max(l.settings.Load().StallTimeout/4, time.Millisecond), func() { w.look(l) })
}

func (w *stalls) look(l *Limiter) {
	timeout := l.settings.Load().StallTimeout
	w.watching.Store(false)
	if timeout == 0 || l.closed.Load() {
		return
	}
	fetching := false
	for _, s := range l.sessions.all() {
		stalled, fetches := s.stalledFor(timeout)
		fetching = fetching || fetches
		if stalled &&
			s.refuses(
				Event{Kind: EventStalled, Command: commandFetch, User: s.identity.Load().user, Waited: timeout},
				errStalled,
			) {
			go s.conn.NetConn().Close() // under TLS it may wait to say goodbye
		}
	}
	if fetching {
		w.watch(l)
	}
}

// stalledFor tells whether a FETCH runs and has sent something of which the client has confirmed
// nothing more for so long.
func (c *client) stalledFor(timeout time.Duration) (stalled, fetches bool) {
	a := &c.activity
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.command != commandFetch || c.limits.Load().exempt {
		return false, false
	}
	if a.waiting {
		return false, true
	}
	now := time.Now()
	sent, more, ok := c.socket.sent()
	if !ok || !more || sent != a.sent {
		a.sent, a.sentSince = sent, now
	}
	if stalled = now.Sub(a.sentSince) >= timeout; stalled {
		a.sentSince = now // told once, under DryRun
	}
	return stalled, true
}
