// Package enum converts the modes and policies of other packages to and from text.
package enum

import (
	"fmt"
	"strings"
)

// Names are the names of the values 0, 1, 2, … of T.
type Names[T ~int] struct {
	Type string   // such as "idle: Mode", for values without a name
	List []string // by value; "" for a value that has no name
}

// Text returns the name of the value, or "Mode(7)" if it has none.
func (n Names[T]) Text(value T) string {
	if !n.Has(value) {
		_, name, _ := strings.Cut(n.Type, ": ")
		return fmt.Sprintf("%s(%d)", name, int(value))
	}
	return n.List[value]
}

// Marshal returns the name of the value. A value without a name is an error that names the type and
// the value, as its text could not be read again.
func (n Names[T]) Marshal(value T) ([]byte, error) {
	if !n.Has(value) {
		return nil, fmt.Errorf("%s %d has no name", n.Type, int(value))
	}
	return []byte(n.List[value]), nil
}

// Has reports whether the value has a name.
func (n Names[T]) Has(value T) bool {
	return value >= 0 && int(value) < len(n.List) && n.List[value] != ""
}

// Parse sets value to the one with that name. If there is none, value is unchanged, and the error
// has the text and all valid names.
func (n Names[T]) Parse(text []byte, value *T) error {
	var names []string
	for v, name := range n.List {
		switch name {
		case "":
			continue
		case string(text):
			*value = T(v)
			return nil
		}
		names = append(names, name)
	}
	return fmt.Errorf("%s %q is none of %s", n.Type, text, strings.Join(names, ", "))
}
