package limits

import (
	"net/netip"
	"time"

	"github.com/imapgate/imapgate/internal/enum"
)

// EventKind says what happened to a command or a connection.
type EventKind int

const (
	EventRefused      EventKind = iota + 1 // a limit was reached, or the Limiter is closed
	EventTimedOut                          // refused or stopped because its time was up
	EventLeft                              // its client hung up while it waited or ran
	EventAdmitted                          // it runs or has run, after a wait
	EventJoined                            // it got the answer of an equal SEARCH and did not run
	EventEvicted                           // its session made room for a newer login of the user
	EventStalled                           // its client took or sent too little, and was disconnected
	EventFailed                            // wrong credentials, see Options.MaxFailedLogins
	EventDelayed                           // it waited because of wrong passwords from its network
	EventDisconnected                      // Limiter.Disconnect ended its session
)

// An Event is what [Options.OnEvent] gets; the zero Event means none. Its strings may come from a
// client: escape them before you show them.
type Event struct {
	Kind EventKind
	// Command is CONNECT, LOGIN, AUTHENTICATE, or a command after login such as FETCH. LIST also
	// stands for LSUB, EXPUNGE also for CLOSE. It is "" for an evicted or disconnected session.
	Command string
	// User is the user's key, see Options.UserKey; "" if not known. Before a login it is only what the
	// client claims.
	User   string
	Addr   netip.Addr    // of the client; the zero Addr if it has none
	Waited time.Duration // in the queue; for EventStalled, since the client last took or sent enough
	Limit  string        // the field of Options that was reached, such as MaxFetches; "" if none
	Max    string        // the value of Limit, such as 10 or 40s
	// RetryAfter is about how long to wait before another try; 0 if not known. For a refused command
	// it is the longest wait in the queue, as a turn within that time would have let it run.
	RetryAfter time.Duration
	DryRun     bool // only reported: nothing was refused, stopped or closed
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
