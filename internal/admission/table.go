package admission

import "maps"

// A Table is a map that gives memory back. A Go map keeps its largest size forever, which is tens
// of megabytes after a storm of a million keys. The zero Table is empty. It has no lock.
type Table[K comparable, V any] struct {
	entries map[K]V
	peak    int // the largest number of entries since the map was made
}

// tableFloor is the peak below which a new map is not worth the cost.
const tableFloor = 256

// Len returns how many entries there are.
func (t *Table[K, V]) Len() int { return len(t.entries) }

// Get returns the value of the key, the zero value if there is none.
func (t *Table[K, V]) Get(key K) V { return t.entries[key] }

// All calls yield for each entry, in no order, until it returns false. yield may delete entries.
func (t *Table[K, V]) All(yield func(K, V) bool) { maps.All(t.entries)(yield) }

// Set stores the value.
func (t *Table[K, V]) Set(key K, value V) {
	if t.entries == nil {
		t.entries = make(map[K]V)
	}
	t.entries[key] = value
	t.peak = max(t.peak, len(t.entries))
}

// Delete removes the key. When three quarters of the peak are gone, it moves the rest to a new map
// of that size. For each entry moved, at least three were deleted before.
func (t *Table[K, V]) Delete(key K) {
	delete(t.entries, key)
	if t.peak < tableFloor || len(t.entries) > t.peak/4 {
		return
	}
	fresh := make(map[K]V, len(t.entries))
	maps.Copy(fresh, t.entries)
	t.entries, t.peak = fresh, len(fresh)
}

// add changes the count of a key by n. The zero key is not counted. A count of zero deletes the
// entry.
func add[K comparable](counts *Table[K, int], key K, n int) {
	var none K
	if key == none {
		return
	}
	if count := counts.Get(key) + n; count != 0 {
		counts.Set(key, count)
	} else {
		counts.Delete(key)
	}
}
