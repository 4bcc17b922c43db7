package admission_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/admission"
)

func TestATableGivesItsMemoryBack(t *testing.T) {
	var counts admission.Table[int, int]
	const peak = 200_000
	for i := range peak {
		counts.Set(i, i)
	}
	full := heap()
	for i := range peak {
		assert.Equal(t, i, counts.Get(i))
		counts.Delete(i)
	}
	assert.Zero(t, counts.Len())
	assert.Less(t, heap(), full-peak*16)
	runtime.KeepAlive(counts)
}

func TestATableKeepsWhatIsLeft(t *testing.T) {
	var names admission.Table[int, string]
	assert.Zero(t, names.Get(1))
	names.Delete(1)
	for i := range 100_000 {
		names.Set(i, "x")
	}
	full := heap()
	for i := range 100_000 {
		if i%100 != 0 {
			names.Delete(i)
		}
	}
	assert.Less(t, heap(), full-100_000*16)
	assert.Equal(t, 1000, names.Len())
	seen := map[int]bool{}
	for i, name := range names.All {
		assert.Equal(t, "x", name)
		assert.Zero(t, i%100)
		seen[i] = true
	}
	assert.Len(t, seen, 1000)
}

// A loop over a table may delete each entry when it reaches it.
func TestATableIsEmptiedWhileSomebodyGoesThroughIt(t *testing.T) {
	var names admission.Table[int, int]
	for i := range 10_000 {
		names.Set(i, i)
	}
	seen := 0
	for i := range names.All {
		names.Delete(i)
		seen++
	}
	assert.Equal(t, 10_000, seen)
	assert.Zero(t, names.Len())
	for range names.All {
		assert.Fail(t, "it is empty")
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
