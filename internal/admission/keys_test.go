package admission_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/admission"
)

func TestAKeyIsTheSameForAllWhoHoldIt(t *testing.T) {
	var keys admission.Keys
	first := keys.Hold("karen")
	assert.Same(t, first, keys.Hold("karen"))
	assert.NotSame(t, first, keys.Hold("bob"))
	first.Release()
	assert.Equal(t, 2, keys.Len())
	first.Release()
	assert.Equal(t, 1, keys.Len(), "the last holder is gone")
	assert.NotSame(t, first, keys.Hold("karen"), "it begins anew")
	(*admission.Key)(nil).Release()
}

// Holders come and go at once. No two of them have different keys of one name at the same time.
func TestKeysInParallel(t *testing.T) {
	var keys admission.Keys
	gate := newGate(admission.GateLimits{})
	alone := newCaller(admission.KeyLimits{Max: 1})
	var inside sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 2000 {
				key := keys.Hold("karen")
				ticket := gate.Enter(key, alone)
				if assert.Zero(t, ticket.Wait(nil)) && assert.True(t, inside.TryLock(), "two are inside") {
					inside.Unlock()
				}
				ticket.Release()
				key.Release()
			}
		})
	}
	all.Wait()
	assert.Zero(t, keys.Len())
	assertEmpty(t, gate)
}
