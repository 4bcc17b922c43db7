package copymeta

import (
	"fmt"

	"github.com/imapgate/imapgate/internal/enum"
)

// Policy is what becomes of one property of a message when it is copied.
type Policy int

const (
	// Keep leaves it to the backend, which should keep it. When a message is fetched and appended
	// on account of the other property, Keep does what [Preserve] does, except that a message
	// without an internal date gets the one that the backend's APPEND gives it.
	Keep Policy = iota
	// Reset makes the copy a new message: its internal date is the time of the COPY, its flags are
	// none.
	Reset
	// Preserve gives the copy what the source has, even if the backend's own COPY does not. An
	// internal date is kept to the second and with its time zone, as the backend's FETCH reports it. A
	// message without one, or with Go's zero time, is not copied.
	Preserve
)

var names = enum.Names[Policy]{
	Type: "copymeta: Policy",
	List: []string{Keep: "keep", Reset: "reset", Preserve: "preserve"},
}

// String returns keep, reset or preserve.
func (p Policy) String() string { return names.Text(p) }

// MarshalText returns the name, or an error for a value that has none.
func (p Policy) MarshalText() ([]byte, error) { return names.Marshal(p) }

// UnmarshalText accepts keep, reset and preserve, so that a Policy can be set by [flag.TextVar] or
// in a configuration file.
func (p *Policy) UnmarshalText(text []byte) error { return names.Parse(text, p) }

func (p Policy) valid() bool { return names.Has(p) }

// policies are those of one copy.
type policies struct{ date, flags Policy }

func (p policies) keep() bool { return p.date == Keep && p.flags == Keep }

func (p policies) validate(dateName, flagsName string) error {
	switch {
	case !p.date.valid():
		return fmt.Errorf(
			"copymeta: %s is %d, which is none of Keep, Reset and Preserve", dateName, p.date,
		)
	case !p.flags.valid():
		return fmt.Errorf(
			"copymeta: %s is %d, which is none of Keep, Reset and Preserve", flagsName, p.flags,
		)
	}
	return nil
}
