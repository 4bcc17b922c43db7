package redislimits_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/readme"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/limits/redislimits"
)

// The README has each field of Options, with its default.
func TestReadmeHasEverySetting(t *testing.T) {
	rows := readme.CheckSettings(t, "README.md", redislimits.Options{})
	o := redislimits.DefaultOptions()
	assert.Equal(t, "`"+o.Prefix+"`", rows["Prefix"][1])
	assert.Equal(t, "30 s", rows["Lease"][1])
	assert.Equal(t, 30.0, o.Lease.Seconds())
	assert.Equal(t, "50 ms", rows["Timeout"][1])
	assert.EqualValues(t, 50, o.Timeout.Milliseconds())
	assert.Contains(t, rows["FailClosed"][0], limits.ErrClusterUnavailable.Text)
}
