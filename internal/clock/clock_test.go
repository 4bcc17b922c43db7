package clock_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/clock"
)

// A time that is longer than any program runs leads to the last instant, not to one long ago.
func TestAddDoesNotOverflow(t *testing.T) {
	for _, test := range []struct {
		from clock.Instant
		d    time.Duration
		want clock.Instant
	}{
		{5, 3, 8}, {5, -8, -3}, {5, math.MaxInt64, math.MaxInt64}, {-5, math.MinInt64 + 5, math.MinInt64},
		{-5, math.MaxInt64, math.MaxInt64 - 5},
	} {
		assert.Equal(t, test.want, test.from.Add(test.d))
	}
}
