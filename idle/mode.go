package idle

import "github.com/imapgate/imapgate/internal/enum"

var modes = enum.Names[Mode]{Type: "idle: Mode", List: []string{On: "on", Poll: "poll", Off: "off"}}

// String returns on, poll or off.
func (m Mode) String() string { return modes.Text(m) }

// MarshalText returns the name, or an error for a value that has none.
func (m Mode) MarshalText() ([]byte, error) { return modes.Marshal(m) }

// UnmarshalText accepts on, poll and off, so that a Mode can be set by [flag.TextVar] or in a
// configuration file.
func (m *Mode) UnmarshalText(text []byte) error { return modes.Parse(text, m) }
