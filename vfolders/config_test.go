package vfolders_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/vfolders"
)

func TestOptionsFromJSON(t *testing.T) {
	options := vfolders.Options{Prefixes: []string{"Public"}}
	require.NoError(t, json.Unmarshal([]byte(`{"mode": "noselect"}`), &options))
	assert.Equal(t, vfolders.Options{Mode: vfolders.NoSelect, Prefixes: []string{"Public"}}, options)
	require.NoError(t, json.Unmarshal([]byte(`{"prefixes": ["#users"]}`), &options))
	assert.Equal(t, []string{"#users"}, options.Prefixes, "replaced, not added")
	for text, want := range map[string]string{
		`{"mode": "none"}`:       `vfolders: Mode: vfolders: Mode "none" is none of selectable, noselect`,
		`{"prefixes": "#users"}`: `vfolders: Prefixes is "#users": it must be a list`,
		`{"prefix": ["#users"]}`: `vfolders: there is no setting "prefix"`,
	} {
		assert.EqualError(t, json.Unmarshal([]byte(text), &options), want)
	}
}

func TestOptionsToJSON(t *testing.T) {
	text, err := json.Marshal(vfolders.Options{Mode: vfolders.NoSelect})
	require.NoError(t, err)
	assert.JSONEq(t, `{"Mode": "noselect", "Prefixes": [], "MaxTotalMemory": 0}`, string(text))
}

func TestOptionsFromMaps(t *testing.T) {
	var options vfolders.Options
	require.NoError(t, options.UnmarshalTOML(map[string]any{"prefixes": []any{"#users"}}))
	require.NoError(t, options.UnmarshalYAML(func(into any) error {
		return json.Unmarshal([]byte(`{"mode": "noselect"}`), into)
	}))
	assert.Equal(t, vfolders.Options{Mode: vfolders.NoSelect, Prefixes: []string{"#users"}}, options)
	encoded, err := options.MarshalYAML()
	require.NoError(t, err)
	assert.Equal(t, map[string]any{
		"Mode": "noselect", "Prefixes": []any{"#users"}, "MaxTotalMemory": int64(0),
	}, encoded)
}
