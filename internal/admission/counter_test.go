package admission_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/admission"
)

func TestCounter(t *testing.T) {
	var c admission.Counter[string]
	limits := admission.CounterLimits{Key: 2, All: 3}
	var releases []func()
	acquire := func(key string, limits admission.CounterLimits) admission.Refusal {
		release, refusal := c.Acquire(key, limits)
		if release != nil {
			releases = append(releases, release)
		}
		return refusal
	}
	assert.Zero(t, acquire("karen", limits))
	assert.Zero(t, acquire("karen", limits))
	assert.Equal(t, admission.Refusal{Reason: admission.KeyFull, Limit: 2}, acquire("karen", limits))
	assert.Zero(t, acquire("", limits))
	assert.Equal(t, admission.Refusal{Reason: admission.AllFull, Limit: 3}, acquire("bob", limits))
	assert.Equal(t, admission.Refusal{Reason: admission.AllFull, Limit: 3}, acquire("", limits))
	assert.Equal(t, 3, c.Count())
	assert.Equal(t, 1, c.Entries(), "the zero key has no entry")
	assert.Len(t, releases, 3)

	limits.Force = true
	assert.Equal(t, admission.Refusal{Reason: admission.KeyFull, Limit: 2}, acquire("karen", limits))
	assert.Equal(t, 4, c.Count())
	assert.Zero(t, acquire("bob", admission.CounterLimits{}))
	for _, release := range releases {
		release()
		release()
	}
	assert.Zero(t, c.Count())
	assert.Zero(t, c.Entries())
	assert.Zero(t, acquire("", admission.CounterLimits{Key: 1}))
	assert.Zero(t, acquire("", admission.CounterLimits{Key: 1}), "the zero key has no limit")
}

func TestACounterUnderLoad(t *testing.T) {
	var c admission.Counter[int]
	var inside [3]atomic.Int32
	var all sync.WaitGroup
	for i := range 200 {
		key := 1 + i%2
		all.Go(func() {
			for range 100 {
				release, refusal := c.Acquire(key, admission.CounterLimits{Key: 5, All: 8})
				if refusal.Is() {
					continue
				}
				assert.LessOrEqual(t, inside[key].Add(1), int32(5))
				assert.LessOrEqual(t, inside[0].Add(1), int32(8))
				inside[0].Add(-1)
				inside[key].Add(-1)
				release()
			}
		})
	}
	all.Wait()
	assert.Zero(t, c.Count())
	assert.Zero(t, c.Entries())
}
