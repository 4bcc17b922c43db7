package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"
)

// UnmarshalJSON calls [Decode] with a JSON object. It does nothing with null, as encoding/json asks
// for. Beside what encoding/json refuses, it refuses a key that is there twice and bytes that are
// not UTF-8.
func UnmarshalJSON(dst any, data []byte) error {
	values, err := parseJSON(data)
	if err != nil {
		return fmt.Errorf("%s: %w", packageOf(reflect.TypeOf(dst).Elem()), err)
	}
	if values == nil {
		return nil
	}
	return UnmarshalTOML(dst, values)
}

// MarshalJSON returns [Encode] as JSON.
func MarshalJSON(src any) ([]byte, error) {
	values, err := Encode(src)
	if err != nil {
		return nil, err
	}
	return json.Marshal(values)
}

// UnmarshalYAML calls [Decode] with what unmarshal puts into a map, as YAML libraries want it.
// (With an any or a map[any]any instead, some of them lose aliases or panic.)
func UnmarshalYAML(dst any, unmarshal func(any) error) error {
	var values map[string]any
	if err := unmarshal(&values); err != nil {
		return err // as it is: libraries know their own errors
	}
	return Decode(dst, values)
}

// UnmarshalTOML calls [Decode] with a map, as TOML libraries want it.
func UnmarshalTOML(dst, data any) error {
	values, err := table(data)
	if err != nil {
		name := packageOf(reflect.TypeOf(dst).Elem())
		return fmt.Errorf("%s: %w", name, mistake("the file", data, err))
	}
	return Decode(dst, values)
}

// parseJSON does what json.Unmarshal does with an any, but refuses a key that is there twice.
func parseJSON(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("the JSON is not UTF-8")
	}
	var checked json.RawMessage // its syntax, and how deep it is
	if err := json.Unmarshal(data, &checked); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	return jsonValue(decoder)
}

func jsonValue(decoder *json.Decoder) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return jsonObject(decoder)
	case json.Delim('['):
		return jsonArray(decoder)
	}
	return token, nil
}

func jsonObject(decoder *json.Decoder) (any, error) {
	values := make(map[string]any)
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name := key.(string)
		if _, ok := values[name]; ok {
			return nil, fmt.Errorf("the key %s is there twice", show(name))
		}
		if values[name], err = jsonValue(decoder); err != nil {
			return nil, err
		}
	}
	_, err := decoder.Token() // the closing brace
	return values, err
}

func jsonArray(decoder *json.Decoder) (any, error) {
	list := []any{}
	for decoder.More() {
		value, err := jsonValue(decoder)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := decoder.Token() // the closing bracket
	return list, err
}
