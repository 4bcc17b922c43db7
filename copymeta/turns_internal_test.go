package copymeta

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Two messages that have the same key by chance do not wait for each other.
func TestATurnIsNotBehindItself(t *testing.T) {
	var all turns
	own := all.enter([]messageKey{7, 3, 7})
	select {
	case <-own.ready:
	default:
		assert.Fail(t, "it waits")
	}
	all.leave(own)
	assert.Nil(t, all.first)
}
