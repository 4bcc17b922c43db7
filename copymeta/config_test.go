package copymeta_test

import (
	"encoding/json"
	"log"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
)

func TestOptionsFromJSON(t *testing.T) {
	logger := log.Default()
	options := copymeta.Options{Move: true, Logger: logger}
	require.NoError(t, json.Unmarshal([]byte(
		`{"internalDate": "preserve", "flags": "reset", "max_bytes": 9007199254740993}`,
	), &options))
	assert.Equal(t, copymeta.Options{
		InternalDate: copymeta.Preserve, Flags: copymeta.Reset, Move: true,
		MaxBytes: 9007199254740993, Logger: logger,
	}, options)
	for text, want := range map[string]string{
		`{"flags": "drop"}`: `copymeta: Flags: ` +
			`copymeta: Policy "drop" is none of keep, reset, preserve`,
		`{"maxBytes": 1.5}`:     "copymeta: MaxBytes is 1.5: it must be a whole number",
		`{"logger": {}}`:        "copymeta: Logger is not a setting: only the program can give it",
		`{"copyDate": "reset"}`: `copymeta: there is no setting "copyDate"`,
		`{"tempDir": ["/tmp"]}`: "copymeta: TempDir is a list: it must be text, in quotes",
	} {
		assert.EqualError(t, json.Unmarshal([]byte(text), &options), want)
	}
}

func TestOptionsToJSON(t *testing.T) {
	text, err := json.Marshal(copymeta.Options{
		Flags: copymeta.Reset, MaxMemory: 1, TempDir: "/tmp", Logger: log.Default(),
		PolicyFor: func(_, _ string) (date, flags copymeta.Policy) { return },
	})
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"InternalDate": "keep", "Flags": "reset", "Move": false,
		"MaxMemory": 1, "MaxBytes": 0, "MaxTotalMemory": 0, "MaxTotalBytes": 0,
		"QueueTimeout": "0s", "ProgressInterval": "0s", "TempDir": "/tmp"
	}`, string(text))
}

func TestOptionsFromMaps(t *testing.T) {
	var options copymeta.Options
	require.NoError(t, options.UnmarshalTOML(map[string]any{"max_memory": int64(5)}))
	require.NoError(t, options.UnmarshalYAML(func(into any) error {
		return json.Unmarshal([]byte(`{"move": true}`), into)
	}))
	assert.Equal(t, copymeta.Options{MaxMemory: 5, Move: true}, options)
	encoded, err := options.MarshalYAML()
	require.NoError(t, err)
	assert.Equal(t, int64(5), encoded.(map[string]any)["MaxMemory"])
}
