package copymeta_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/readme"
)

// The README has each setting and each answer, with the defaults that they have.
func TestReadmeHasEverySetting(t *testing.T) {
	rows := readme.CheckSettings(t, "README.md", copymeta.Options{})
	zero := copymeta.Options{}
	assert.Equal(t, copymeta.Keep, zero.InternalDate)
	assert.Equal(t, copymeta.Keep, zero.Flags)
	assert.Equal(t, "`Keep`", rows["InternalDate"][1])
	assert.Equal(t, "`Keep`", rows["Flags"][1])
	assert.Equal(t, "no", rows["Move"][1])
	assert.Equal(t, fmt.Sprintf("%d MiB", copymeta.DefaultMaxMemory>>20), rows["MaxMemory"][1])
	for _, name := range []string{"MaxBytes", "MaxTotalMemory", "MaxTotalBytes"} {
		assert.Equal(t, "no limit", rows[name][1], name)
	}
	assert.Equal(t, "for ever", rows["QueueTimeout"][1])
	assert.Equal(t, "never", rows["ProgressInterval"][1])
}

// The README says what DefaultOptions are.
func TestReadmeHasTheDefaultOptions(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	o := copymeta.DefaultOptions()
	require.NoError(t, o.Validate())
	assert.Contains(t, string(text), fmt.Sprintf(
		"`MaxMemory` %d MiB, `MaxBytes` %d MiB, `MaxTotalMemory` %d MiB, `MaxTotalBytes` %d GiB, "+
			"`QueueTimeout` %v and `ProgressInterval` %v",
		o.MaxMemory>>20, o.MaxBytes>>20, o.MaxTotalMemory>>20, o.MaxTotalBytes>>30,
		o.QueueTimeout, o.ProgressInterval,
	))
}
