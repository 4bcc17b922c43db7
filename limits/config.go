package limits

import "github.com/imapgate/imapgate/internal/enum"

var eventKinds = enum.Names[EventKind]{
	Type: "limits: EventKind",
	List: []string{
		EventRefused:  "refused",
		EventTimedOut: "timed out",
		EventLeft:     "left",
		EventAdmitted: "admitted",
		EventJoined:   "joined",
		EventEvicted:  "evicted",
		EventStalled:  "stalled",
		EventFailed:   "failed",
	},
}

// String returns the name in lower case: refused, timed out, left, admitted, joined, evicted,
// stalled or failed.
func (k EventKind) String() string { return eventKinds.Text(k) }

// MarshalText returns what [EventKind.String] does.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText accepts the names that [EventKind.String] returns.
func (k *EventKind) UnmarshalText(text []byte) error { return eventKinds.Parse(text, k) }
