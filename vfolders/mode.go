package vfolders

import "github.com/imapgate/imapgate/internal/enum"

var modes = enum.Names[Mode]{
	Type: "vfolders: Mode",
	List: []string{Selectable: "selectable", NoSelect: "noselect"},
}

// String returns selectable or noselect.
func (m Mode) String() string { return modes.Text(m) }

// MarshalText returns the name, or an error for a value that has none.
func (m Mode) MarshalText() ([]byte, error) { return modes.Marshal(m) }

// UnmarshalText accepts selectable and noselect, so that a Mode can be set by [flag.TextVar] or in
// a configuration file.
func (m *Mode) UnmarshalText(text []byte) error { return modes.Parse(text, m) }
