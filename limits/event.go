package limits

import (
	"net/netip"
	"time"

	"github.com/imapgate/imapgate/internal/enum"
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

var eventKinds = enum.Names[EventKind]{
	Type: "limits: EventKind",
	List: []string{
		EventRefused:      "refused",
		EventTimedOut:     "timed out",
		EventLeft:         "left",
		EventAdmitted:     "admitted",
		EventJoined:       "joined",
		EventEvicted:      "evicted",
		EventStalled:      "stalled",
		EventFailed:       "failed",
		EventDelayed:      "delayed",
		EventDisconnected: "disconnected",
	},
}

// String returns the name in lower case, such as "timed out".
func (k EventKind) String() string { return eventKinds.Text(k) }

// MarshalText returns the name, or an error for a value that has none.
func (k EventKind) MarshalText() ([]byte, error) { return eventKinds.Marshal(k) }

// UnmarshalText accepts the names that [EventKind.String] returns.
func (k *EventKind) UnmarshalText(text []byte) error { return eventKinds.Parse(text, k) }
