package limits

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whoever waits when the gate is closed does not get in, even if a slot comes back before it has
// woken up.
func TestNobodyIsGrantedASlotAfterClose(t *testing.T) {
	limiter := New(&Options{MaxFetches: 1})
	c := &client{limiter: limiter, turn: "user karen"}
	c.limits.Store(limiter.settings.Load().everybody)
	held, refusal := limiter.fetches.acquire(c)
	require.Nil(t, refusal)
	waiter, refusal := limiter.fetches.join(c, false)
	require.Nil(t, refusal)
	limiter.Close()
	held.release()
	held.release()
	assert.False(t, waiter.granted)
	limiter.fetches.abandon(waiter)
	assert.Zero(t, limiter.Stats())
}
