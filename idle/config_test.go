package idle_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/idle"
)

func TestOptionsFromJSON(t *testing.T) {
	options := idle.Options{MaxPerUser: 5, Username: func(imapserver.Session) string { return "" }}
	require.NoError(t, json.Unmarshal(
		[]byte(`{"mode": "poll", "pollInterval": "20s", "max_duration": "1h"}`), &options,
	))
	assert.NotNil(t, options.Username)
	options.Username = nil
	assert.Equal(t, idle.Options{
		Mode: idle.Poll, PollInterval: 20 * time.Second, MaxPerUser: 5, MaxDuration: time.Hour,
	}, options)
	for text, want := range map[string]string{
		`{"mode": "sometimes"}`: `idle: Mode: idle: Mode "sometimes" is none of on, poll, off`,
		`{"mode": false}`:       "idle: Mode is false: it must be text, in quotes",
		`{"modeFor": "poll"}`:   "idle: ModeFor is not a setting: only the program can give it",
		`{"poll": "1s"}`:        `idle: there is no setting "poll"`,
	} {
		assert.EqualError(t, json.Unmarshal([]byte(text), &options), want)
	}
}

func TestOptionsToJSON(t *testing.T) {
	text, err := json.Marshal(idle.Options{
		Mode: idle.Off, MaxDuration: time.Minute, ModeFor: func(string) idle.Mode { return idle.On },
	})
	require.NoError(t, err)
	assert.JSONEq(
		t, `{"Mode": "off", "PollInterval": "0s", "MaxPerUser": 0, "MaxPolls": 0, "MaxDuration": "1m0s"}`,
		string(text),
	)
}

func TestOptionsFromMaps(t *testing.T) {
	var options idle.Options
	require.NoError(t, options.UnmarshalTOML(map[string]any{"max-per-user": int64(5)}))
	require.NoError(t, options.UnmarshalYAML(func(into any) error {
		return json.Unmarshal([]byte(`{"MODE": "off"}`), into)
	}))
	assert.Equal(t, idle.Options{MaxPerUser: 5, Mode: idle.Off}, options)
	encoded, err := options.MarshalYAML()
	require.NoError(t, err)
	assert.Equal(t, "off", encoded.(map[string]any)["Mode"])
}
