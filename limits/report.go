package limits

import (
	"log"
	"runtime/debug"
	"time"
)

// report passes the event on, and counts it if it is not a refusal.
func (c *client) report(event Event) {
	switch event.Kind {
	case EventAdmitted:
		c.limiter.counts.add(func(s *Stats) *uint64 { return &s.Total.Admitted })
	case EventJoined:
		c.limiter.counts.add(func(s *Stats) *uint64 { return &s.Total.Joined })
	case EventDelayed:
		c.limiter.counts.add(func(s *Stats) *uint64 { return &s.Total.Delayed })
	case EventEvicted:
		c.limiter.counts.add(func(s *Stats) *uint64 { return &s.Total.Evicted })
	case EventDisconnected:
		c.limiter.counts.add(func(s *Stats) *uint64 { return &s.Total.Disconnected })
	case EventFailed:
		c.limiter.counts.add(func(s *Stats) *uint64 { return &s.Total.WrongCredentials })
	}
	if onEvent := c.limiter.settings.Load().OnEvent; onEvent != nil {
		event.Addr = c.addr
		onEvent(event)
	}
}

// catchPanic is deferred where a callback is called, but not by the connection's own goroutine. A
// panic ends the connection and is logged, as go-imap does it for a command. Otherwise it would end
// the program, or be that of somebody who has nothing to do with this connection.
func (c *client) catchPanic() {
	if v := recover(); v != nil {
		log.Printf("limits: panic of a callback: %v\n%s", v, debug.Stack())
		abort(c.conn.NetConn())
		c.lost()
	}
}

// reached returns the refusal of a limit that does not depend on other clients.
func (c *client) reached(l *limit) refusal {
	return refusal{limit: l, value: c.limiter.settings.Load().value(l)}
}

// refuse counts and reports a refusal, and returns whether to carry it out. Under DryRun, the
// refusal of a limit is only reported.
func (c *client) refuse(event Event, r refusal) bool {
	settings := c.limiter.settings.Load()
	event.Kind = r.kind()
	if r.limit.option != "" {
		event.Limit, event.Max = r.limit.option, r.limit.text(r.value)
	}
	event.DryRun = settings.DryRun && (r.limit.option != "" || r.limit == clusterUnavailable)
	if retry := r.answers().retry; retry != nil {
		event.RetryAfter = time.Duration(settings.value(retry))
	}
	c.limiter.counts.add(r.answers().count)
	c.report(event)
	return !event.DryRun
}

// timeout returns how long a command may wait in the queue now, 0 if there is no limit.
func (c *client) timeout(q *queue) time.Duration {
	if q.own.retry == nil {
		return loginWait
	}
	return time.Duration(c.reached(q.own.retry).value)
}
