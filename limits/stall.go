package limits

import (
	"time"

	"github.com/imapgate/imapgate/internal/clock"
)

// stallRate is how many bytes a second a client must take, or send in an APPEND, on average over
// each StallTimeout. A slow mobile network manages that, but someone who wants to hold slots for
// long does not.
const stallRate = 4 << 10

// byeStalled is the BYE to a client that sends the message of an APPEND too slowly.
const byeStalled = "[LIMIT] The message came too slowly"

// watch makes sure that the connections are checked, if there is a StallTimeout.
func (w *stalls) watch(l *Limiter) {
	if l.settings.Load().StallTimeout > 0 && !w.watching.Load() && !w.watching.Swap(true) {
		w.again(l)
	}
}

func (w *stalls) again(l *Limiter) {
	// A stall is noticed at most a quarter of the timeout late.
	time.AfterFunc(max(l.settings.Load().StallTimeout/4, time.Millisecond), func() { w.look(l) })
}

func (w *stalls) look(l *Limiter) {
	timeout := l.settings.Load().StallTimeout
	w.watching.Store(false)
	if timeout == 0 || l.closed.Load() {
		return
	}
	again := false
	for _, s := range l.sessions.all() {
		command, stalled := s.stalledFor(timeout)
		again = again || command != ""
		if stalled {
			s.endStalled(command, timeout)
		}
	}
	if again {
		w.watch(l)
	}
}

// endStalled closes the connection of a client that has stalled. Only the client of an APPEND gets
// a BYE: others do not read, and the client of a FETCH would read it as a part of the message.
func (s *session) endStalled(command string, timeout time.Duration) {
	defer s.catchPanic()
	event := Event{Command: command, User: s.identity.Load().user, Waited: timeout}
	switch {
	case !s.refuse(event, s.reached(stallTimeout)):
	case command == commandAppend:
		go s.hangUpBetween(byeStalled)
	default:
		abort(s.conn.NetConn())
	}
}

// stalledFor returns the command that runs or waits, "" if none, and whether its client has taken
// or sent less than it must within the timeout.
func (c *client) stalledFor(timeout time.Duration) (command string, stalled bool) {
	a := &c.activity
	a.mu.Lock()
	command, waits, began := a.command, a.waiting, a.since
	a.mu.Unlock()
	if command == "" || c.limits.Load().exempt {
		return "", false
	}
	if waits {
		return command, false
	}
	now := clock.Now()
	moved, owes := c.moved(command)
	least := uint64(timeout.Seconds() * stallRate)

	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.since != began || a.waiting: // another command has begun meanwhile, or a wait
		return command, false
	case !owes || moved-a.moved >= max(least, 1):
		a.moved, a.movedSince = moved, now
	}
	if stalled = time.Duration(now-a.movedSince) >= timeout; stalled {
		a.movedSince = now // under DryRun, one report for each timeout
	}
	return command, stalled
}

// moved returns how many bytes the client has taken, or has sent of its message, and whether the
// next bytes depend on the client and not on the backend.
func (c *client) moved(command string) (bytes uint64, owes bool) {
	if command == commandAppend {
		return c.upload.taken.Load(), c.upload.asks.Load()
	}
	sent, more, ok := c.socket.Sent()
	return sent, ok && more
}
