package config

import (
	"encoding"
	"fmt"
	"reflect"
	"time"
)

// Encode returns the settings of a struct, or of what a pointer points to, by the names of its
// fields: durations and whatever has MarshalText as strings, ints as int64, slices as []any,
// structs as map[string]any. It leaves out nil pointers and what is no setting, such as functions.
// The error names the field that cannot be written as text.
func Encode(src any) (map[string]any, error) {
	v := reflect.Indirect(reflect.ValueOf(src))
	values := make(map[string]any)
	for _, f := range fieldsOf(v.Type()) {
		if !f.setting {
			continue
		}
		value, err := encode(v.Field(f.index))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		if value != nil {
			values[f.name] = value
		}
	}
	return values, nil
}

// encode returns nil for a nil pointer only.
func encode(v reflect.Value) (any, error) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, nil
		}
		return encode(v.Elem())
	}
	switch value := v.Interface().(type) {
	case time.Duration:
		return value.String(), nil
	case encoding.TextMarshaler:
		text, err := value.MarshalText()
		return string(text), err
	}
	switch v.Kind() {
	case reflect.Slice:
		return encodeAll(v)
	case reflect.Struct:
		return Encode(v.Interface())
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.String:
		return v.String(), nil
	default:
		return v.Int(), nil
	}
}

func encodeAll(v reflect.Value) ([]any, error) {
	list := make([]any, v.Len())
	for i := range list {
		var err error
		if list[i], err = encode(v.Index(i)); err != nil {
			return nil, err
		}
	}
	return list, nil
}
