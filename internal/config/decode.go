package config

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxTextLen is how many bytes a text may have that is given to an UnmarshalText: its error may
// repeat them all.
const maxTextLen = 100

var (
	errBool     = errors.New("it must be true or false")
	errDuration = errors.New(
		`it must be a duration in quotes and with its unit, such as "40s" or "1h30m"`,
	)
	errEmpty = errors.New("it must not be empty")
	errKeys  = errors.New("its keys must be text")
	errList  = errors.New("it must be a list")
	errLong  = errors.New("it is too long")
	errNull  = errors.New("leave it out to keep what it is")
	errRange = errors.New("it is out of range")
	errTable = errors.New("it must be a table of settings")
	errText  = errors.New("it must be text, in quotes")
	errWhole = errors.New("it must be a whole number")
)

// Decode sets the fields of the struct that dst points to, and leaves those that have no key in
// values as they are. A slice is replaced, never appended to. After an error dst is unchanged; the
// error names the field and its value.
func Decode(dst any, values map[string]any) error {
	v := reflect.ValueOf(dst).Elem()
	decoded, err := decodeStruct(v, values, "")
	if err != nil {
		return fmt.Errorf("%s: %w", packageOf(v.Type()), err)
	}
	v.Set(decoded)
	return nil
}

func packageOf(t reflect.Type) string {
	name, _, _ := strings.Cut(t.String(), ".")
	return name
}

// decodeStruct returns a copy of old with the values in it.
func decodeStruct(old reflect.Value, values map[string]any, path string) (reflect.Value, error) {
	fields := make(map[string]field) // by folded name
	for _, f := range fieldsOf(old.Type()) {
		fields[fold(f.name)] = f
	}
	decoded := reflect.New(old.Type()).Elem()
	decoded.Set(old)
	seen := make(map[string]string)
	for _, key := range slices.Sorted(maps.Keys(values)) { // the error is always the same one
		f, ok := fields[fold(key)]
		at := strings.TrimPrefix(path+"."+f.name, ".")
		other, again := seen[f.name]
		switch {
		case !ok && path == "":
			return old, fmt.Errorf("there is no setting %s", show(key))
		case !ok:
			return old, fmt.Errorf("there is no setting %s in %s", show(key), path)
		case again:
			return old, fmt.Errorf("%s is given twice, as %s and as %s", at, show(other), show(key))
		case !f.setting:
			return old, fmt.Errorf("%s is not a setting: only the program can give it", at)
		}
		seen[f.name] = key
		value, err := decode(old.Field(f.index), values[key], at)
		if err != nil {
			return old, err
		}
		decoded.Field(f.index).Set(value)
	}
	return decoded, nil
}

// decode returns the new value of a setting whose value was old.
func decode(old reflect.Value, value any, path string) (reflect.Value, error) {
	t := old.Type()
	switch {
	case value == nil:
		return old, mistake(path, value, errNull)
	case isText(t):
		return decodeText(t, value, path)
	case t == durationType:
		return decodeDuration(value, path)
	}
	switch t.Kind() {
	case reflect.Slice:
		return decodeSlice(t, value, path)
	case reflect.Pointer:
		return decodePointer(old, value, path)
	case reflect.Struct:
		values, err := table(value)
		if err != nil {
			return old, mistake(path, value, err)
		}
		return decodeStruct(old, values, path)
	case reflect.Bool:
		if b, ok := value.(bool); ok {
			return reflect.ValueOf(b).Convert(t), nil
		}
		return old, mistake(path, value, errBool)
	case reflect.String:
		if s, ok := value.(string); ok {
			return reflect.ValueOf(s).Convert(t), nil
		}
		return old, mistake(path, value, errText)
	default:
		return decodeInt(t, value, path)
	}
}

func decodeText(t reflect.Type, value any, path string) (reflect.Value, error) {
	decoded := reflect.New(t)
	text, ok := value.(string)
	switch {
	case !ok:
		return decoded, mistake(path, value, errText)
	case text == "": // netip takes it for the zero Prefix
		return decoded, mistake(path, value, errEmpty)
	case len(text) > maxTextLen:
		return decoded, mistake(path, value, errLong)
	}
	if err := decoded.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
		return decoded, fmt.Errorf("%s: %w", path, err)
	}
	return decoded.Elem(), nil
}

// decodeDuration accepts no number without a unit except zero: some readers would take it for
// seconds, and others for nanoseconds.
func decodeDuration(value any, path string) (reflect.Value, error) {
	if text, ok := value.(string); ok {
		if d, err := time.ParseDuration(text); err == nil {
			return reflect.ValueOf(d), nil
		}
	} else if n, err := whole(value); n == 0 && err == nil {
		return reflect.Zero(durationType), nil
	}
	return reflect.Value{}, mistake(path, value, errDuration)
}

func decodeInt(t reflect.Type, value any, path string) (reflect.Value, error) {
	decoded := reflect.New(t).Elem()
	n, err := whole(value)
	if err == nil && decoded.OverflowInt(n) {
		err = errRange
	}
	if err != nil {
		return decoded, mistake(path, value, err)
	}
	decoded.SetInt(n)
	return decoded, nil
}

// whole returns a whole number. It refuses a float that is too large to be exact.
func whole(value any) (int64, error) {
	if number, ok := value.(json.Number); ok {
		n, err := strconv.ParseInt(number.String(), 10, 64)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return 0, errRange
		case err != nil:
			return 0, errWhole
		}
		return n, nil
	}
	switch v := reflect.ValueOf(value); {
	case v.CanInt():
		return v.Int(), nil
	case v.CanUint() && v.Uint() <= math.MaxInt64:
		return int64(v.Uint()), nil
	case v.CanUint():
		return 0, errRange
	case v.CanFloat() && math.Abs(v.Float()) >= 1<<53:
		return 0, errRange
	case v.CanFloat() && v.Float() == math.Trunc(v.Float()):
		return int64(v.Float()), nil
	}
	return 0, errWhole
}

// decodeSlice makes a new slice: the old one may be shared.
func decodeSlice(t reflect.Type, value any, path string) (reflect.Value, error) {
	list := reflect.ValueOf(value)
	if list.Kind() != reflect.Slice {
		return list, mistake(path, value, errList)
	}
	decoded := reflect.Zero(t) // of an empty list
	for i := range list.Len() {
		at := fmt.Sprintf("%s[%d]", path, i)
		element, err := decode(reflect.Zero(t.Elem()), list.Index(i).Interface(), at)
		if err != nil {
			return list, err
		}
		decoded = reflect.Append(decoded, element)
	}
	return decoded, nil
}

// decodePointer returns a pointer to a copy, so that an error further on changes nothing.
func decodePointer(old reflect.Value, value any, path string) (reflect.Value, error) {
	decoded := reflect.New(old.Type().Elem())
	if !old.IsNil() {
		decoded.Elem().Set(old.Elem())
	}
	element, err := decode(decoded.Elem(), value, path)
	if err != nil {
		return old, err
	}
	decoded.Elem().Set(element)
	return decoded, nil
}

// table returns a map as it comes from JSON or TOML, or as some YAML libraries make it: with keys
// of any type. Those must be strings.
func table(value any) (map[string]any, error) {
	m := reflect.ValueOf(value)
	if m.Kind() != reflect.Map {
		return nil, errTable
	}
	values := make(map[string]any, m.Len())
	for key, value := range m.Seq2() {
		name, ok := key.Interface().(string)
		if !ok {
			return nil, errKeys
		}
		values[name] = value.Interface()
	}
	return values, nil
}

func mistake(path string, value any, why error) error {
	return fmt.Errorf("%s is %s: %w", path, show(value), why)
}

// show returns a value for an error, no longer than a line.
func show(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(cut(v))
	case time.Time:
		return "a date or a time"
	}
	switch reflect.TypeOf(value).Kind() {
	case reflect.Map:
		return "a table"
	case reflect.Slice:
		return "a list"
	}
	return cut(fmt.Sprint(value))
}

func cut(text string) string {
	const longest = 40
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}
