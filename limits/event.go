package limits

import (
	"net/netip"
	"time"

	"github.com/emersion/go-imap/v2"
)

// EventKind says what happened to a command or a connection.
type EventKind int

const (
	EventRefused  EventKind = iota + 1 // it was over a limit, or the Limiter is closed
	EventTimedOut                      // it was refused after it had waited, or stopped after it had run, for as long as it may
	EventLeft                          // its client hung up while it waited or ran
	EventAdmitted                      // it runs or has run, after it had to wait
	EventJoined                        // it has waited for the answer to an identical SEARCH, and got it without running
	EventEvicted                       // its session made room for a newer login of the user
	EventStalled                       // its client took nothing of what was sent, and the connection was closed
	EventFailed                        // the backend has found its credentials wrong, see Options.MaxFailedLogins
)

// An Event is what [Options.OnEvent] is told; the zero Event is none. Its strings may come from a
// client: escape them where they are shown.
type Event struct {
	Kind    EventKind
	Command string        // CONNECT, LOGIN, AUTHENTICATE, FETCH, SEARCH, LIST or APPEND; "" for an evicted session
	User    string        // the user's key, see Options.UserKey; "" if not known. Before a login it is what the client claims.
	Addr    netip.Addr    // the client's; the zero Addr if it has none
	Waited  time.Duration // in the queue; for Stalled since the client took something
	Limit   string        // the field of Options that was in the way, such as MaxFetches; "" if none was
	Max     int64         // its value; a time is in nanoseconds
	// RetryAfter is about when it is worth trying again, 0 if nobody can say. For a command that
	// was refused it is the longest that one waits: if there had been a turn within it, the command
	// would have run.
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

// tell reports the event.
func (c *client) tell(event Event) {
	if onEvent := c.limiter.settings.Load().OnEvent; onEvent != nil {
		event.Addr = c.addr
		onEvent(event)
	}
}

// refuses counts and reports a refusal, and tells whether it is to be carried out: not under
// DryRun.
func (c *client) refuses(event Event, refusal *imap.Error) bool {
	event.DryRun = c.limiter.settings.Load().DryRun
	c.tellRefusal(event, refusal)
	return !event.DryRun
}

// tellRefusal counts and reports a refusal.
func (c *client) tellRefusal(event Event, refusal *imap.Error) {
	settings, limits := c.limiter.settings.Load(), c.limits.Load()
	if event.Kind == 0 {
		event.Kind = EventRefused
	}
	limit := func(kind EventKind, name string, max int64) {
		event.Kind, event.Limit, event.Max = kind, name, max
	}
	switch refusal {
	case ErrTooManyConnections:
		limit(EventRefused, "MaxConnections", int64(settings.MaxConnections))
	case ErrTooManyIPConnections:
		limit(EventRefused, "MaxConnectionsPerIP", int64(limits.MaxConnectionsPerIP))
	case ErrTooManyUserLogins:
		limit(EventRefused, "MaxLoginsPerUser", int64(limits.MaxLoginsPerUser))
		if event.Waited >= loginTimeout {
			event.Kind = EventTimedOut
		}
	case ErrTooManyIPLogins:
		limit(EventRefused, "MaxLoginsPerIP", int64(limits.MaxLoginsPerIP))
	case errWrongCredentials:
		event.Kind = EventFailed
	case errTooManyFailedLogins:
		limit(EventRefused, "MaxFailedLogins", int64(limits.MaxFailedLogins))
	case ErrTooManyFetches:
		c.tellOfQueue(&event, &c.limiter.fetches, "MaxFetches", settings.FetchQueueTimeout)
	case ErrTooManySearches:
		c.tellOfQueue(&event, &c.limiter.searches, "MaxSearches", settings.SearchQueueTimeout)
	case ErrFetchRunTimeout:
		limit(EventTimedOut, "FetchRunTimeout", int64(settings.FetchRunTimeout))
	case ErrSearchRunTimeout:
		limit(EventTimedOut, "SearchRunTimeout", int64(settings.SearchRunTimeout))
	case ErrListWildcards:
		limit(EventRefused, "MaxListWildcards", int64(settings.MaxListWildcards))
	case ErrSearchTerms:
		limit(EventRefused, "MaxSearchTerms", int64(settings.MaxSearchTerms))
	case ErrSearchDepth:
		limit(EventRefused, "MaxSearchDepth", int64(settings.MaxSearchDepth))
	case ErrAppendSize:
		limit(EventRefused, "MaxAppendSize", settings.MaxAppendSize)
	case errLoginTimeout:
		limit(EventTimedOut, "LoginTimeout", int64(settings.LoginTimeout))
	case errStalled:
		limit(EventStalled, "StallTimeout", int64(settings.StallTimeout))
	case errClientGone:
		event.Kind = EventLeft
	}
	c.limiter.refusals.add(refusal)
	c.tell(event)
}

// tellOfQueue completes the event of a command that the gate refused: after its time in the queue,
// or at once because that was full.
func (c *client) tellOfQueue(event *Event, g *gate, name string, timeout time.Duration) {
	event.RetryAfter = timeout
	if event.Waited > 0 {
		event.Kind = EventTimedOut
		event.Limit, event.Max = g.blockingLimit(c, name)
		return
	}
	event.Limit, event.Max = g.fullQueue(c)
}
