package limits

import (
	"github.com/imapgate/imapgate/internal/config"
)

// UnmarshalJSON sets the fields that a JSON object names and keeps the others, so decode a file
// over [DefaultOptions]. Keys are field names; case, "-" and "_" in them do not matter. Durations
// are strings such as "40s", networks such as "192.0.2.0/24". An unknown key or the key of a
// function is an error. After an error nothing has changed.
func (o *Options) UnmarshalJSON(data []byte) error { return config.UnmarshalJSON(o, data) }

// UnmarshalYAML is [Options.UnmarshalJSON] for YAML libraries. One trap: github.com/goccy/go-yaml
// does not call it for an empty file, and sets all options to zero, which means no limits.
func (o *Options) UnmarshalYAML(unmarshal func(any) error) error {
	return config.UnmarshalYAML(o, unmarshal)
}

// UnmarshalTOML is [Options.UnmarshalJSON] for github.com/BurntSushi/toml, which calls it with a
// map[string]any. A program that has read its settings into such a map can call it as well.
func (o *Options) UnmarshalTOML(data any) error { return config.UnmarshalTOML(o, data) }

// MarshalJSON returns all settings, also zero ones, without the functions.
func (o Options) MarshalJSON() ([]byte, error) { return config.MarshalJSON(o) }

// MarshalYAML is [Options.MarshalJSON] for YAML libraries.
func (o Options) MarshalYAML() (any, error) { return config.Encode(o) }
