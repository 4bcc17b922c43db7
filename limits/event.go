package limits

import (
	"net/netip"
	"time"
)

// EventKind says what happened to a command or a connection.
type EventKind int

const (
	EventRefused      EventKind = iota + 1 // it was over a limit, or the Limiter is closed
	EventTimedOut                          // it was refused or stopped when its time was up
	EventLeft                              // its client hung up while it waited or ran
	EventAdmitted                          // it runs or has run, after it had to wait
	EventJoined                            // it was answered by an equal SEARCH, without running
	EventEvicted                           // its session made room for a newer login of the user
	EventStalled                           // its client took or sent too little, and was cut off
	EventFailed                            // its credentials are wrong, see Options.MaxFailedLogins
	EventDelayed                           // it waited because of wrong passwords from its network
	EventDisconnected                      // its session was ended by Limiter.Disconnect
)

// An Event is what [Options.OnEvent] is told; the zero Event is none. Its strings may come from a
// client: escape them where they are shown.
type Event struct {
	Kind EventKind
	// Command is CONNECT, LOGIN, AUTHENTICATE, or a command that a client sends after login, such as
	// FETCH: LIST also for LSUB, EXPUNGE also for a CLOSE; "" for an evicted or disconnected session.
	Command string
	// User is the user's key, see Options.UserKey; "" if not known. Before a login it is what the
	// client claims.
	User   string
	Addr   netip.Addr    // the client's; the zero Addr if it has none
	Waited time.Duration // in the queue; for EventStalled since the client took or sent enough
	Limit  string        // the field of Options that was reached, such as MaxFetches; "" if none was
	Max    string        // its value then, such as 10 or 40s
	// RetryAfter is about when it is worth trying again, 0 if nobody can say. For a command that was
	// refused it is the longest that one waits: if there had been a turn within it, it would have run.
	RetryAfter time.Duration
	DryRun     bool // it was not refused, stopped or closed, only reported
}

const (
	commandConnect      = "CONNECT"
	commandLogin        = "LOGIN"
	commandAuthenticate = "AUTHENTICATE"
	commandFetch        = "FETCH"
	commandSearch       = "SEARCH"
	commandList         = "LIST"
	commandAppend       = "APPEND"
)

// report passes the event on, and counts what is no refusal.
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
