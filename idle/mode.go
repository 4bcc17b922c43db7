package idle

import "fmt"

var modeNames = [...]string{On: "on", Poll: "poll", Off: "off"}

// String returns on, poll or off.
func (m Mode) String() string {
	if m < 0 || int(m) >= len(modeNames) {
		return fmt.Sprintf("Mode(%d)", int(m))
	}
	return modeNames[m]
}

// MarshalText returns what [Mode.String] does.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText accepts on, poll and off, so that a Mode can be set by [flag.TextVar] or in a configuration file.
func (m *Mode) UnmarshalText(text []byte) error {
	for mode, name := range modeNames {
		if name == string(text) {
			*m = Mode(mode)
			return nil
		}
	}
	return fmt.Errorf("idle: mode %q is none of on, poll and off", text)
}
