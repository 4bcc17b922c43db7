// Package config decodes the Options of the other packages from configuration files, and encodes
// them. It is strict: what it does not understand is an error. Otherwise a misspelt key would leave
// out a limit, and nobody would notice before the server is down.
//
// A setting is a bool, a string, an int of any size, a [time.Duration], a type that has MarshalText
// and UnmarshalText, a slice of these or a pointer to one, or a struct of exported fields. The tag
// `toml:"-"` makes a field no setting; fields of other types need it too, because TOML encoders,
// which look at the struct themselves, fail on a function.
package config

import (
	"encoding"
	"reflect"
	"strings"
	"time"
)

var (
	durationType        = reflect.TypeFor[time.Duration]()
	textMarshalerType   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// field is an exported field of a struct.
type field struct {
	name    string
	index   int
	setting bool
}

func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() {
			setting := f.Tag.Get("toml") != "-" && isSetting(f.Type)
			fields = append(fields, field{name: f.Name, index: i, setting: setting})
		}
	}
	return fields
}

// isSetting tells whether a type can be a setting. It does not look at the fields of a struct: they
// are looked at when there is a key for them.
func isSetting(t reflect.Type) bool {
	if isText(t) {
		return true
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return true
	case reflect.Slice, reflect.Pointer:
		return isSetting(t.Elem())
	case reflect.Struct:
		for field := range t.Fields() {
			if !field.IsExported() {
				return false // it may be a lock, which must not be copied
			}
		}
		return true
	}
	return false
}

func isText(t reflect.Type) bool {
	return t.Implements(textMarshalerType) && reflect.PointerTo(t).Implements(textUnmarshalerType)
}

// fold makes MaxFetches, maxFetches, max_fetches and max-fetches one key.
func fold(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '-' || r == '_':
			return -1
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, key)
}
