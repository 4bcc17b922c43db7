package config_test

import (
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/config"
)

type values = map[string]any

func TestDecode(t *testing.T) {
	five, n := 5, int64(math.MaxInt64)
	ipv4, ipv6 := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("::/0")
	for _, test := range []struct {
		values values
		want   options
	}{
		{nil, options{}},
		{values{"Number": 5, "Size": n}, options{Number: 5, Size: n}},
		{values{"Number": 5.0, "Size": uint64(n)}, options{Number: 5, Size: n}},
		{values{"Size": -9007199254740991.0}, options{Size: -9007199254740991}},
		{values{"Size": json.Number("9223372036854775807")}, options{Size: n}},
		{values{"Size": json.Number("-9223372036854775808")}, options{Size: math.MinInt64}},
		{values{"Number": json.Number("-0"), "Size": math.Copysign(0, -1)}, options{}},
		{values{"Small": -128}, options{Small: -128}},
		{values{"On": true}, options{On: true}},
		{values{"Name": "x\x00\xff"}, options{Name: "x\x00\xff"}},
		{values{"Name": ""}, options{}},
		{values{"Wait": "1h30m"}, options{Wait: 90 * time.Minute}},
		{values{"Wait": "-40s"}, options{Wait: -40 * time.Second}},
		{values{"Wait": "0"}, options{}},
		{values{"Wait": 0}, options{}},
		{
			values{"Waits": []any{int64(0), math.Copysign(0, -1), json.Number("-0"), "1ns"}},
			options{Waits: []time.Duration{0, 0, 0, 1}},
		},
		{values{"Mode": "high"}, options{Mode: 1}},
		{values{"Network": "192.0.2.0/24"}, options{Network: ipv4}},
		{values{"Networks": []string{"::/0"}}, options{Networks: []netip.Prefix{ipv6}}},
		{values{"Names": []any{"a", "b"}}, options{Names: []string{"a", "b"}}},
		{values{"Names": []any{}}, options{}},
		{
			values{"Table": values{"Number": 5, "Wait": "5s"}},
			options{Table: inner{Number: 5, Wait: 5 * time.Second}},
		},
		{values{"Table": map[any]any{"Number": 5}}, options{Table: inner{Number: 5}}},
		{
			values{"Table": map[string]string{"Wait": "5s"}},
			options{Table: inner{Wait: 5 * time.Second}},
		},
		{
			values{"Pointer": values{"Deep": values{"Name": "x"}}},
			options{Pointer: &inner{Deep: &deep{"x"}}},
		},
		{values{"Pointer": values{}}, options{Pointer: &inner{}}},
		{values{"Tables": []values{{"Number": 5}, {}}}, options{Tables: []inner{{Number: 5}, {}}}},
		{values{"Pointers": []any{values{}}}, options{Pointers: []*inner{{}}}},
		{values{"Count": 5}, options{Count: &five}},
		{
			values{"nUMBER": 1, "small": 2, "--size": 3, "http_port": 4, "w-a_it": "5s"},
			options{Number: 1, Small: 2, Size: 3, HTTPPort: 4, Wait: 5 * time.Second},
		},
	} {
		var o options
		require.NoError(t, config.Decode(&o, test.values))
		assert.Equal(t, test.want, o, "%v", test.values)
	}
}

func TestDecodeRefuses(t *testing.T) {
	long := strings.Repeat("é", 1000)
	const unit = `it must be a duration in quotes and with its unit, such as "40s" or "1h30m"`
	for _, test := range []struct {
		key   string
		value any
		want  string
	}{
		{"number", "5", `Number is "5": it must be a whole number`},
		{"number", 1.5, "Number is 1.5: it must be a whole number"},
		{"number", math.NaN(), "Number is NaN: it must be a whole number"},
		{"number", math.Inf(1), "Number is +Inf: it is out of range"},
		{"number", 1e300, "Number is 1e+300: it is out of range"},
		{"number", float64(1 << 53), "Number is 9.007199254740992e+15: it is out of range"},
		{"number", uint64(math.MaxInt64 + 1), "Number is 9223372036854775808: it is out of range"},
		{"number", true, "Number is true: it must be a whole number"},
		{"number", nil, "Number is null: leave it out to keep what it is"},
		{"number", []any{5}, "Number is a list: it must be a whole number"},
		{"number", values{}, "Number is a table: it must be a whole number"},
		{"number", time.Now(), "Number is a date or a time: it must be a whole number"},
		{"size", json.Number("9223372036854775808"), "Size is 9223372036854775808: it is out of range"},
		{"size", json.Number("1e999999999"), "Size is 1e999999999: it must be a whole number"},
		{"size", json.Number("1e-400"), "Size is 1e-400: it must be a whole number"},
		{
			"size", json.Number(strings.Repeat("9", 5000)),
			"Size is " + strings.Repeat("9", 40) + "…: it is out of range",
		},
		{"small", 128, "Small is 128: it is out of range"},
		{"small", -129.0, "Small is -129: it is out of range"},
		{"on", "true", `On is "true": it must be true or false`},
		{"on", 1, "On is 1: it must be true or false"},
		{"name", 5, "Name is 5: it must be text, in quotes"},
		{"name", json.Number("5"), "Name is 5: it must be text, in quotes"},
		{"wait", 40, "Wait is 40: " + unit},
		{"wait", json.Number("40"), "Wait is 40: " + unit},
		{"wait", 0.5, "Wait is 0.5: " + unit},
		{"wait", math.NaN(), "Wait is NaN: " + unit},
		{"wait", "40", `Wait is "40": ` + unit},
		{"wait", "", `Wait is "": ` + unit},
		{"wait", "9999999h", `Wait is "9999999h": ` + unit},
		{"wait", long, `Wait is "` + long[:40] + `…": ` + unit},
		{"wait", false, "Wait is false: " + unit},
		{"wait", time.Now(), "Wait is a date or a time: " + unit},
		{"mode", "mid", "Mode: neither low nor high"},
		{"mode", false, "Mode is false: it must be text, in quotes"},
		{"mode", 1, "Mode is 1: it must be text, in quotes"},
		{"mode", long, `Mode is "` + long[:40] + `…": it is too long`},
		{"network", "", `Network is "": it must not be empty`},
		{"networks", "::/0", `Networks is "::/0": it must be a list`},
		{"networks", []any{"::/0", "::"}, `Networks[1]: netip.ParsePrefix("::"): no '/'`},
		{"networks", []any{nil}, "Networks[0] is null: leave it out to keep what it is"},
		{"networks", nil, "Networks is null: leave it out to keep what it is"},
		{"names", []any{"a", []any{"b"}}, "Names[1] is a list: it must be text, in quotes"},
		{"names", []byte("a"), "Names[0] is 97: it must be text, in quotes"},
		{"table", nil, "Table is null: leave it out to keep what it is"},
		{"table", []any{}, "Table is a list: it must be a table of settings"},
		{"table", map[any]any{1: 2}, "Table is a table: its keys must be text"},
		{"table", values{"deep": values{"name": 5}}, "Table.Deep.Name is 5: it must be text, in quotes"},
		{"table", values{"func": "x"}, "Table.Func is not a setting: only the program can give it"},
		{"table", values{"fun": "x"}, `there is no setting "fun" in Table`},
		{"pointer", nil, "Pointer is null: leave it out to keep what it is"},
		{"pointer", "x", `Pointer is "x": it must be a table of settings`},
		{"tables", []any{values{}, values{"wait": 1}}, "Tables[1].Wait is 1: " + unit},
		{"func", "x", "Func is not a setting: only the program can give it"},
		{"func", nil, "Func is not a setting: only the program can give it"},
		{"writer", "x", "Writer is not a setting: only the program can give it"},
		{"hidden", 5, "Hidden is not a setting: only the program can give it"},
		{"locked", values{}, "Locked is not a setting: only the program can give it"},
		{"float", 5.5, "Float is not a setting: only the program can give it"},
		{"channel", 5, "Channel is not a setting: only the program can give it"},
		{"map", values{}, "Map is not a setting: only the program can give it"},
		{"private", 5, `there is no setting "private"`},
		{"", 5, `there is no setting ""`},
		{"-", 5, `there is no setting "-"`},
		{"Numbers", 5, `there is no setting "Numbers"`},
		{"Networ\u212a", "::/0", "there is no setting \"Networ\u212a\""}, // the Kelvin sign
		{"num\r\nber", 5, `there is no setting "num\r\nber"`},
		{long, 5, `there is no setting "` + long[:40] + `…"`},
	} {
		before := options{Number: 1, Names: []string{"before"}}
		o := before
		err := config.Decode(&o, values{"HTTPPort": 3, test.key: test.value})
		assert.EqualError(t, err, "config_test: "+test.want)
		assert.Equal(t, before, o)
	}
}

func TestDecodeRefusesAKeyTwice(t *testing.T) {
	for range 20 { // maps have no order
		var o options
		err := config.Decode(&o, values{"Number": 1, "number": 1})
		assert.EqualError(t, err, `config_test: Number is given twice, as "Number" and as "number"`)
		err = config.Decode(&o, values{"table": values{"wait": "1s", "Wait": "1s"}})
		assert.EqualError(t, err, `config_test: Table.Wait is given twice, as "Wait" and as "wait"`)
		assert.Zero(t, o)
	}
}

func TestDecodeKeepsWhatIsNotNamed(t *testing.T) {
	called := false
	o := options{
		Number: 1, Wait: time.Second, Names: []string{"a"}, Table: inner{Number: 2, Wait: 3},
		Pointer: &inner{Number: 4, Deep: &deep{"x"}}, Func: func() { called = true }, private: 5,
	}
	require.NoError(t, config.Decode(&o, values{
		"Wait": "2s", "Table": values{"Number": 6}, "Pointer": values{"Wait": "7s"},
	}))
	o.Func()
	assert.True(t, called)
	o.Func = nil
	assert.Equal(t, options{
		Number: 1, Wait: 2 * time.Second, Names: []string{"a"}, Table: inner{Number: 6, Wait: 3},
		Pointer: &inner{Number: 4, Wait: 7 * time.Second, Deep: &deep{"x"}}, private: 5,
	}, o)
}

// What a slice or a pointer was before may be shared with other options.
func TestDecodeWritesNowhereElse(t *testing.T) {
	names, table := []string{"a", "b", "c"}, &inner{Number: 1}
	o := options{Names: names[:1], Pointer: table}
	require.NoError(t, config.Decode(&o, values{
		"Names": []any{"x", "y"}, "Pointer": values{"Number": 2},
	}))
	assert.Equal(t, options{Names: []string{"x", "y"}, Pointer: &inner{Number: 2}}, o)
	assert.Equal(t, []string{"a", "b", "c"}, names)
	assert.Equal(t, &inner{Number: 1}, table)
}
