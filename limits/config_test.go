package limits_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/limits"
)

func TestOptionsFromJSON(t *testing.T) {
	called := false
	options := limits.DefaultOptions()
	options.OnEvent = func(limits.Event) { called = true }
	require.NoError(t, json.Unmarshal([]byte(`{
		"maxLoginsPerUser": 10, "fetch_queue_timeout": "20s", "ShareSearches": false,
		"max-append-size": 9223372036854775807, "exempt": ["192.0.2.0/24", "2001:db8::/32"]
	}`), options))
	options.OnEvent(limits.Event{})
	assert.True(t, called)
	options.OnEvent = nil

	want := limits.DefaultOptions()
	want.MaxLoginsPerUser = 10
	want.FetchQueueTimeout = 20 * time.Second
	want.ShareSearches = false
	want.MaxAppendSize = 1<<63 - 1
	want.Exempt = []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"),
	}
	assert.Equal(t, want, options)
}

func TestOptionsFromJSONThatAreWrong(t *testing.T) {
	for setting, want := range map[string]string{
		`"maxFetch": 5`:           `there is no setting "maxFetch"`,
		`"username": ""`:          "Username is not a setting: only the program can give it",
		`"exempt": ["192.0.2.1"]`: `Exempt[0]: netip.ParsePrefix("192.0.2.1"): no '/'`,
		`"loginTimeout": 60`: "LoginTimeout is 60: it must be a duration in quotes and with its unit, " +
			`such as "40s" or "1h30m"`,
	} {
		options := limits.DefaultOptions()
		err := json.Unmarshal([]byte(`{"maxFetches": 5, `+setting+`}`), options)
		assert.EqualError(t, err, "limits: "+want)
		assert.Equal(t, limits.DefaultOptions(), options)
	}
}

// All that a file can set is read back from what is written; the rest is left out.
func TestOptionsToJSON(t *testing.T) {
	options := limits.DefaultOptions()
	options.LimitsFor = func(c limits.Client) limits.ClientLimits { return c.Limits }
	options.OnEvent = func(limits.Event) {}
	for _, value := range []any{options, *options} {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		assert.Contains(t, string(text), `"FetchQueueTimeout":"40s"`)
		assert.Contains(t, string(text), `"MaxWaiting":0`)
		read := limits.Options{MaxWaiting: 5, Exempt: []netip.Prefix{netip.MustParsePrefix("::/0")}}
		require.NoError(t, json.Unmarshal(text, &read))
		assert.Equal(t, *limits.DefaultOptions(), read)
	}
}

func TestOptionsFromMaps(t *testing.T) {
	var options limits.Options
	require.NoError(t, options.UnmarshalTOML(map[string]any{"max_fetches": int64(5)}))
	require.NoError(t, options.UnmarshalYAML(func(into any) error {
		return json.Unmarshal([]byte(`{"max_searches": 6}`), into)
	}))
	assert.Equal(t, limits.Options{MaxFetches: 5, MaxSearches: 6}, options)
	encoded, err := options.MarshalYAML()
	require.NoError(t, err)
	assert.Equal(t, int64(5), encoded.(map[string]any)["MaxFetches"])
}

func TestEventKindAsText(t *testing.T) {
	for kind := limits.EventRefused; kind <= limits.EventDisconnected; kind++ {
		text, err := json.Marshal(map[limits.EventKind]limits.EventKind{kind: kind})
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf("{%q:%q}", kind, kind), string(text))
		var read map[limits.EventKind]limits.EventKind
		require.NoError(t, json.Unmarshal(text, &read))
		assert.Equal(t, map[limits.EventKind]limits.EventKind{kind: kind}, read)
	}
	kind := limits.EventLeft
	assert.EqualError(
		t, kind.UnmarshalText([]byte("gone")), `limits: EventKind "gone" is none of refused, `+
			"timed out, left, admitted, joined, evicted, stalled, failed, delayed, disconnected",
	)
	assert.Error(t, kind.UnmarshalText(nil))
	for _, kind := range []limits.EventKind{0, limits.EventDisconnected + 1} {
		_, err := kind.MarshalText()
		assert.EqualError(t, err, fmt.Sprintf("limits: EventKind %d has no name", int(kind)))
		assert.Equal(t, fmt.Sprintf("EventKind(%d)", int(kind)), kind.String())
	}
	assert.Equal(t, limits.EventLeft, kind)
}
