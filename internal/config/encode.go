package config

import (
	"encoding"
	"reflect"
	"time"
)

// Encode returns the settings of a struct, or of what a pointer points to, by the names of its
// fields: durations and whatever has MarshalText as strings, ints as int64, slices as []any,
// structs as map[string]any. It leaves out nil pointers and what is no setting, such as functions.
// What cannot be written as text becomes the empty string, which [Decode] refuses.
func Encode(src any) map[string]any {
	v := reflect.Indirect(reflect.ValueOf(src))
	values := make(map[string]any)
	for _, f := range fieldsOf(v.Type()) {
		if !f.setting {
			continue
		}
		if value := encode(v.Field(f.index)); value != nil {
			values[f.name] = value
		}
	}
	return values
}

// encode returns nil for a nil pointer only.
func encode(v reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		return encode(v.Elem())
	}
	switch value := v.Interface().(type) {
	case time.Duration:
		return value.String()
	case encoding.TextMarshaler:
		text, _ := value.MarshalText()
		return string(text)
	}
	switch v.Kind() {
	case reflect.Slice:
		list := make([]any, 0, v.Len())
		for i := range v.Len() {
			list = append(list, encode(v.Index(i)))
		}
		return list
	case reflect.Struct:
		return Encode(v.Interface())
	case reflect.Bool:
		return v.Bool()
	case reflect.String:
		return v.String()
	default:
		return v.Int()
	}
}
