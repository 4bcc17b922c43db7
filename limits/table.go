package limits

import "maps"

// table is a map that gives memory back. Go's maps keep their largest size for ever: after a storm
// of a million keys tens of megabytes. The zero table is empty.
type table[K comparable, V any] struct {
	entries map[K]V
	peak    int // the most entries since the map was made
}

// tableFloor is the peak below which a map is not worth making anew.
const tableFloor = 256

func (t *table[K, V]) get(key K) V { return t.entries[key] }

func (t *table[K, V]) set(key K, value V) {
	if t.entries == nil {
		t.entries = make(map[K]V)
	}
	t.entries[key] = value
	t.peak = max(t.peak, len(t.entries))
}

// delete removes the key. When three quarters of the peak are gone it moves what is left to a map
// of that size: for each entry moved three or more were deleted.
func (t *table[K, V]) delete(key K) {
	delete(t.entries, key)
	if t.peak < tableFloor || len(t.entries) > t.peak/4 {
		return
	}
	fresh := make(map[K]V, len(t.entries))
	maps.Copy(fresh, t.entries)
	t.entries, t.peak = fresh, len(fresh)
}
