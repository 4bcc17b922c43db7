package config_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/config"
)

func TestUnmarshalJSON(t *testing.T) {
	o := options{Name: "before", Number: 5}
	require.NoError(t, config.UnmarshalJSON(&o, []byte(` {
		"wait": "40s", "size": 9223372036854775807, "names": ["é", "\u00e9"],
		"tables": [{"number": 1}, {"deep": {"name": "x"}}], "on": true, "number": -0
	} `)))
	assert.Equal(t, options{
		Name: "before", Wait: 40 * time.Second, Size: 1<<63 - 1, Names: []string{"é", "é"},
		Tables: []inner{{Number: 1}, {Deep: &deep{"x"}}}, On: true,
	}, o)
}

func TestUnmarshalJSONNull(t *testing.T) {
	o := options{Number: 5}
	require.NoError(t, config.UnmarshalJSON(&o, []byte(" null ")))
	assert.Equal(t, options{Number: 5}, o)
}

func TestUnmarshalJSONRefuses(t *testing.T) {
	deep := func(depth int) string {
		return strings.Repeat("[", depth) + strings.Repeat("]", depth)
	}
	for _, test := range []struct{ text, want string }{
		{``, "unexpected end of JSON input"},
		{`{"number": 5`, "unexpected end of JSON input"},
		{`{"number": 5,}`, "invalid character '}' looking for beginning of object key string"},
		{`{"number": 5} {}`, "invalid character '{' after top-level value"},
		{`{"number": 05}`, "invalid character '5' after object key:value pair"},
		{`{"number": NaN}`, "invalid character 'N' looking for beginning of value"},
		{`[]`, "the file is a list: it must be a table of settings"},
		{`"number"`, `the file is "number": it must be a table of settings`},
		{`5`, "the file is 5: it must be a table of settings"},
		{`{"number": 5, "size":1e3}`, "Size is 1e3: it must be a whole number"},
		{`{"number": 5, "number": 5}`, `the key "number" is there twice`},
		{`{"number": 5, "n\u0075mber": 5}`, `the key "number" is there twice`},
		{`{"number": 5, "Number": 5}`, `Number is given twice, as "Number" and as "number"`},
		{`{"tables": [{}, {"wait": "1s", "wait": "2s"}]}`, `the key "wait" is there twice`},
		{`{"unknown": {"a": 1, "a": 2}}`, `the key "a" is there twice`},
		{"{\"name\": \"\xff\"}", "the JSON is not UTF-8"},
		{deep(1_000_000), "invalid character '[' exceeded max depth"},
		{`{"name": ` + deep(9999) + "}", `Name is a list: it must be text, in quotes`},
	} {
		o := options{Size: 7}
		err := config.UnmarshalJSON(&o, []byte(test.text))
		assert.EqualError(t, err, "config_test: "+test.want, "%.50s", test.text)
		assert.Equal(t, options{Size: 7}, o)
	}
}

func TestMarshalJSON(t *testing.T) {
	text, err := config.MarshalJSON(inner{Number: 5, Wait: time.Minute, Func: func() {}})
	require.NoError(t, err)
	assert.Equal(t, `{"Number":5,"Wait":"1m0s"}`, string(text))
}

func TestUnmarshalYAML(t *testing.T) {
	var o options
	require.NoError(t, config.UnmarshalYAML(&o, func(into any) error {
		return json.Unmarshal([]byte(`{"number": 5}`), into)
	}))
	assert.Equal(t, options{Number: 5}, o)
	require.NoError(t, config.UnmarshalYAML(&o, func(any) error { return nil }))
	failed := errors.New("no YAML")
	assert.Same(t, failed, config.UnmarshalYAML(&o, func(any) error { return failed }))
	assert.Equal(t, options{Number: 5}, o)
}

func TestUnmarshalTOML(t *testing.T) {
	var o options
	require.NoError(t, config.UnmarshalTOML(&o, values{"number": int64(5)}))
	assert.Equal(t, options{Number: 5}, o)
	for want, data := range map[string]any{
		"null: it must be a table of settings":   nil,
		"a list: it must be a table of settings": []values{},
		"5: it must be a table of settings":      5,
		"a table: its keys must be text":         map[int]int{1: 2},
	} {
		assert.EqualError(t, config.UnmarshalTOML(&o, data), "config_test: the file is "+want)
	}
}

// Whatever a file has in it, the options are as before or they are what it says, which is what
// they still are after they were written and read again.
func FuzzUnmarshalJSON(f *testing.F) {
	for _, seed := range []string{
		`{"number": 5, "size": -9223372036854775808, "small": 127, "on": true, "name": "x"}`,
		`{"wait": "1h30m", "mode": "high", "network": "::/0", "networks": ["192.0.2.1/24"]}`,
		`{"names": ["a", ""], "waits": [0, "-1ns"], "table": {"deep": {"name": ""}}, "count": 1}`,
		`{"pointer": {"wait": "0"}, "tables": [{}], "pointers": [{"number": 1}], "http_port": 1e0}`,
		`{"name": "\ud800", "unknown": null, "func": []}`, `null`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		start := func() options {
			return options{
				Number: 1, Names: []string{"a"}, Pointer: &inner{Number: 2},
				Network: netip.MustParsePrefix("::/0"), // the zero Prefix has no text
			}
		}
		o := start()
		if err := config.UnmarshalJSON(&o, text); err != nil {
			assert.Less(t, len(err.Error()), 600)
			assert.Equal(t, start(), o)
			return
		}
		written, err := config.MarshalJSON(o)
		require.NoError(t, err)
		var read options
		require.NoError(t, config.UnmarshalJSON(&read, written))
		assert.Equal(t, o, read)
	})
}
