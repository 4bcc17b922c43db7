package copymeta_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

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
