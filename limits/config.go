package limits

import (
	"github.com/imapgate/imapgate/internal/config"
)

// UnmarshalJSON sets what a JSON object names and leaves the rest as it is, so that a file is
// decoded over [DefaultOptions]. The keys are the names of the fields; case, "-" and "_" in them do
// not matter. Durations are strings such as "40s", networks such as "192.0.2.0/24". An unknown key
// is an error, and so is one of a function; after an error nothing has changed.
func (o *Options) UnmarshalJSON(data []byte) error { return config.UnmarshalJSON(o, data) }

// UnmarshalYAML is [Options.UnmarshalJSON] for the YAML libraries, which call it; but for a file
// that is empty, github.com/goccy/go-yaml does not, and makes all options zero, which is no limits.
func (o *Options) UnmarshalYAML(unmarshal func(any) error) error {
	return config.UnmarshalYAML(o, unmarshal)
}

// UnmarshalTOML is [Options.UnmarshalJSON] for github.com/BurntSushi/toml, which calls it with a
// map[string]any. So can any program that has read its settings into one.
func (o *Options) UnmarshalTOML(data any) error { return config.UnmarshalTOML(o, data) }

// MarshalJSON returns all settings, also those that are zero. It leaves out the functions.
func (o Options) MarshalJSON() ([]byte, error) { return config.MarshalJSON(o) }

// MarshalYAML is [Options.MarshalJSON] for the YAML libraries, which call it.
func (o Options) MarshalYAML() (any, error) { return config.Encode(o) }
