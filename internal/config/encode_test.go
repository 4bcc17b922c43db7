package config_test

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/config"
)

func TestEncode(t *testing.T) {
	o := options{
		Number: 1, Small: -2, On: true, Name: "x", Wait: 40 * time.Second, Mode: 1,
		Network:  netip.MustParsePrefix("2001:db8::/32"),
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Names:    []string{"a"}, Table: inner{Number: 3, Func: func() {}},
		Pointer: &inner{Deep: &deep{"y"}}, Tables: []inner{{}}, Pointers: []*inner{nil},
		Func: func() {}, Hidden: 5, Float: 6, private: 7,
	}
	want := values{
		"Number": int64(1), "Size": int64(0), "Small": int64(-2), "On": true, "Name": "x",
		"Wait": "40s", "Mode": "high", "Network": "2001:db8::/32",
		"Networks": []any{"192.0.2.0/24"}, "Names": []any{"a"}, "Waits": []any{},
		"Table":    values{"Number": int64(3), "Wait": "0s"},
		"Pointer":  values{"Number": int64(0), "Wait": "0s", "Deep": values{"Name": "y"}},
		"Tables":   []any{values{"Number": int64(0), "Wait": "0s"}},
		"Pointers": []any{nil},
		"HTTPPort": int64(0),
	}
	assert.Equal(t, want, encode(t, &o))
	assert.Equal(t, want, encode(t, o))
}

// A value that has no text is an error that names its field.
func TestEncodeWhatHasNoText(t *testing.T) {
	_, err := config.Encode(options{Mode: 7, Network: netip.MustParsePrefix("::/0")})
	assert.EqualError(t, err, "Mode: seven has no name")
	_, err = config.MarshalJSON(options{Mode: 7})
	assert.EqualError(t, err, "Mode: seven has no name")
	_, err = config.Encode(struct{ Modes []mode }{[]mode{7, 0}})
	assert.EqualError(t, err, "Modes: seven has no name")
	_, err = config.Encode(struct{ Table struct{ Mode mode } }{struct{ Mode mode }{7}})
	assert.EqualError(t, err, "Table: Mode: seven has no name")
}

func encode(t *testing.T, src any) values {
	encoded, err := config.Encode(src)
	require.NoError(t, err)
	return encoded
}

// What was encoded sets everything, whatever there was.
func TestDecodeWhatWasEncoded(t *testing.T) {
	before := options{Number: 1, On: true, Wait: 5, Names: []string{"a"}, Table: inner{Number: 2}}
	after := options{Size: 9, Network: netip.MustParsePrefix("::/0")}
	require.NoError(t, config.Decode(&before, encode(t, after)))
	assert.Equal(t, after, before)
}

func FuzzDecodeWhatWasEncoded(f *testing.F) {
	f.Add(1, int64(math.MinInt64), int8(-128), true, "x", int64(math.MinInt64))
	f.Add(0, int64(math.MaxInt64), int8(0), false, "\xff\x00", int64(math.MaxInt64))
	f.Add(-1, int64(1)<<53+1, int8(127), true, "", int64(1))
	f.Fuzz(func(t *testing.T, n int, size int64, small int8, on bool, name string, wait int64) {
		table := inner{Number: n, Wait: time.Duration(wait), Deep: &deep{name}}
		want := options{
			Number: n, Size: size, Small: small, On: on, Name: name, Wait: time.Duration(wait),
			Network: netip.MustParsePrefix("::/0"), Names: []string{name, ""}, Table: table,
			Waits: []time.Duration{0, time.Duration(wait)}, Pointer: &table, Count: &n,
			Tables: []inner{{}, table}, Pointers: []*inner{&table},
		}
		got := options{HTTPPort: 5}
		require.NoError(t, config.Decode(&got, encode(t, want)))
		assert.Equal(t, want, got)
	})
}
