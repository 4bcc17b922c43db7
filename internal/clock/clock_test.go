package clock_test

import (
	"math"
	"testing"
	"testing/synctest"
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

func TestAnInstantIsSoLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := clock.Now()
		time.Sleep(time.Hour)
		assert.Equal(t, time.Hour, began.Ago())
		assert.Equal(t, clock.Now(), began.Add(time.Hour))
	})
}
