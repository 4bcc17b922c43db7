package limits

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTableGivesItsMemoryBack(t *testing.T) {
	var counts table[int, int]
	const peak = 200_000
	for i := range peak {
		addTo(&counts, i+1, 1)
	}
	full := heap()
	for i := range peak {
		assert.Equal(t, 1, counts.get(i+1))
		addTo(&counts, i+1, -1)
	}
	assert.Empty(t, counts.entries)
	assert.Less(t, heap(), full-peak*16)
	runtime.KeepAlive(counts.entries)
}

func TestTableKeepsWhatIsLeft(t *testing.T) {
	var names table[int, string]
	for i := range 10_000 {
		names.set(i, "x")
	}
	for i := range 10_000 {
		if i%100 != 0 {
			names.delete(i)
		}
	}
	assert.Len(t, names.entries, 100)
	assert.Equal(t, "x", names.get(9900))
	assert.LessOrEqual(t, names.peak, 4*100+tableFloor)
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
