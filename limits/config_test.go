package limits_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/limits"
)

func TestEventKindAsText(t *testing.T) {
	for kind := limits.EventRefused; kind <= limits.EventFailed; kind++ {
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
			"timed out, left, admitted, joined, evicted, stalled, failed",
	)
	assert.Error(t, kind.UnmarshalText(nil))
	assert.Equal(t, limits.EventLeft, kind)
}
