package idle_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/readme"
)

// The README has each setting and each answer, with the defaults that they have.
func TestReadmeHasEverySetting(t *testing.T) {
	rows := readme.CheckSettings(t, "README.md", idle.Options{})
	assert.Equal(t, idle.On, idle.Options{}.Mode)
	assert.Equal(t, "`On`", rows["Mode"][1])
	seconds := int(idle.DefaultPollInterval.Seconds())
	assert.Equal(t, fmt.Sprintf("%d s", seconds), rows["PollInterval"][1])
	for _, name := range []string{"MaxPerUser", "MaxPolls", "MaxDuration"} {
		assert.Equal(t, "no limit", rows[name][1], name)
	}
}
