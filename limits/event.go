package limits

import (
	"net/netip"
	"time"

	"github.com/emersion/go-imap/v2"
)

// EventKind says what happened to a command.
type EventKind int

const (
	Refused  EventKind = iota + 1 // it was over a limit, or the Limiter is closed
	TimedOut                      // it was refused after it had waited for as long as it may
	Left                          // its client hung up while it waited
	Admitted                      // it runs, after it had to wait
)

// String returns the kind in words.
func (k EventKind) String() string {
	switch k {
	case Refused:
		return "refused"
	case TimedOut:
		return "timed out"
	case Left:
		return "left"
	case Admitted:
		return "admitted"
	default:
		return "unknown"
	}
}

// An Event is a refusal, or a command that had to wait. Its strings may come from a client: escape them where they are shown.
type Event struct {
	Kind    EventKind
	Command string        // CONNECT, LOGIN, AUTHENTICATE, FETCH or SEARCH
	User    string        // the user's key, see Options.UserKey; "" if not known. Before a login it is what the client claims.
	Addr    netip.Addr    // the client's; the zero Addr if it has none
	Waited  time.Duration // in the queue
	Limit   string        // the field of Options that was in the way, "" if none was
	Max     int           // its value
}

const (
	commandConnect      = "CONNECT"
	commandLogin        = "LOGIN"
	commandAuthenticate = "AUTHENTICATE"
	commandFetch        = "FETCH"
	commandSearch       = "SEARCH"
)

// tell reports the event.
func (s *session) tell(event Event) {
	if onEvent := s.limiter.options.Load().OnEvent; onEvent != nil {
		event.Addr = s.addr
		onEvent(event)
	}
}

// tellRefusal counts and reports the end of a command that was not admitted.
func (s *session) tellRefusal(event Event, refusal *imap.Error) {
	options := s.limiter.options.Load()
	event.Kind = Refused
	switch refusal {
	case ErrTooManyConnections:
		event.Limit, event.Max = "MaxConnections", options.MaxConnections
	case ErrTooManyIPConnections:
		event.Limit, event.Max = "MaxConnectionsPerIP", options.MaxConnectionsPerIP
	case ErrTooManyUserLogins:
		event.Limit, event.Max = "MaxLoginsPerUser", options.MaxLoginsPerUser
		if event.Waited >= loginTimeout {
			event.Kind = TimedOut
		}
	case ErrTooManyIPLogins:
		event.Limit, event.Max = "MaxLoginsPerIP", options.MaxLoginsPerIP
	case errTooManyFailedLogins:
		event.Limit, event.Max = "MaxFailedLogins", options.MaxFailedLogins
	case ErrTooManyFetches:
		event.Kind = TimedOut
		event.Limit, event.Max = s.limiter.fetches.blockingLimit(s.turn, "MaxFetches")
	case ErrTooManySearches:
		event.Kind = TimedOut
		event.Limit, event.Max = s.limiter.searches.blockingLimit(s.turn, "MaxSearches")
	case errClientGone:
		event.Kind = Left
	}
	s.limiter.refusals.add(refusal)
	s.tell(event)
}
