package limits

import (
	"sync/atomic"
	"time"
)

// stallRate is how many bytes a second the client of a FETCH must take on average over each
// StallTimeout: what a slow mobile network bears, and nobody who holds slots on purpose for long.
const stallRate = 4 << 10

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
		event := Event{Command: commandFetch, User: s.identity.Load().user, Waited: timeout}
		if stalled && s.refuse(event, s.reached(stallTimeout)) {
			abort(s.conn.NetConn())
		}
	}
	if fetching {
		w.watch(l)
	}
}

// stalledFor tells whether a FETCH runs and has sent something, of which the client has taken less
// than it must in so long a time.
func (c *client) stalledFor(timeout time.Duration) (stalled, fetches bool) {
	a := &c.activity
	a.mu.Lock()
	fetches, waits, began := a.command == commandFetch, a.waiting, a.since
	a.mu.Unlock()
	if !fetches || c.limits.Load().exempt {
		return false, false
	}
	if waits {
		return false, true
	}
	now := time.Now()
	sent, more, ok := c.socket.Sent()
	least := uint64(timeout.Seconds() * stallRate)

	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.since != began: // another command meanwhile
		return false, true
	case !ok || !more || sent-a.sent >= max(least, 1):
		a.sent, a.sentSince = sent, now
	}
	if stalled = now.Sub(a.sentSince) >= timeout; stalled {
		a.sentSince = now // told once, under DryRun
	}
	return stalled, true
}
