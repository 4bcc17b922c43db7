package config_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

// A field that is added to Options is a setting, or has the tag without which TOML encoders fail.
func TestEveryFieldOfThePackagesIsASettingOrSaysThatItIsNot(t *testing.T) {
	for _, options := range []any{
		&limits.Options{}, &idle.Options{}, &vfolders.Options{}, &copymeta.Options{},
	} {
		text, err := json.Marshal(options)
		require.NoError(t, err)
		var encoded map[string]any
		require.NoError(t, json.Unmarshal(text, &encoded))
		for field := range reflect.TypeOf(options).Elem().Fields() {
			name := reflect.TypeOf(options).String() + "." + field.Name
			switch field.Type.Kind() {
			case reflect.Func, reflect.Interface, reflect.Pointer:
				assert.Equal(t, "-", field.Tag.Get("toml"), name)
				assert.NotContains(t, encoded, field.Name, name)
			default:
				assert.Empty(t, field.Tag, name)
				assert.Contains(t, encoded, field.Name, name)
			}
		}
	}
}
