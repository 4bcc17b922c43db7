package vfolders_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/readme"
	"github.com/imapgate/imapgate/vfolders"
)

// The README has each setting and each answer, and says of the zero Options what they are.
func TestReadmeHasEverySetting(t *testing.T) {
	rows := readme.CheckSettings(t, "README.md", vfolders.Options{})
	zero := vfolders.Options{}
	assert.Equal(t, vfolders.Selectable, zero.Mode)
	assert.Equal(t, "`Selectable`", rows["Mode"][1])
	assert.Equal(t, "everywhere", rows["Prefixes"][1])
	assert.Equal(t, "no limit", rows["MaxTotalMemory"][1])
	assert.Contains(t, rows["Username"][1], "what the client said")
	assert.Contains(t, rows["History"][1], "in memory")
}
