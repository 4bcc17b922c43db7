package admission

// maxRecent is the largest number of entries of a recent table.
const maxRecent = 64 << 10

// recent is a table of bounded size. When it is full, a new entry replaces the one that was touched
// least recently. The zero table is empty. It has no lock.
type recent[K comparable, V any] struct {
	index map[K]int32
	// entries[0] is the head of the ring of all entries: the one after it was touched least recently,
	// the one before it most recently. Unused entries are linked only by next.
	entries []recentEntry[K, V]
	unused  int32
}

type recentEntry[K comparable, V any] struct {
	key        K
	value      V
	prev, next int32
}

func (r *recent[K, V]) len() int { return len(r.index) }

// get returns the value of the key, nil if there is none. It is valid until the table changes.
func (r *recent[K, V]) get(key K) *V {
	at, ok := r.index[key]
	if !ok {
		return nil
	}
	return &r.entries[at].value
}

// touch makes the key the most recent one, with the zero value if it is new, and returns its value.
func (r *recent[K, V]) touch(key K) *V {
	at, ok := r.index[key]
	if ok {
		r.unlink(at)
	} else {
		at = r.add(key)
	}
	last := r.entries[0].prev
	r.entries[at].prev, r.entries[at].next = last, 0
	r.entries[last].next, r.entries[0].prev = at, at
	return &r.entries[at].value
}

// add returns a place for a key that is not in the table.
func (r *recent[K, V]) add(key K) int32 {
	if r.index == nil {
		r.index = make(map[K]int32)
		r.entries = make([]recentEntry[K, V], 1)
	}
	if len(r.index) == maxRecent {
		r.delete(r.entries[r.entries[0].next].key)
	}
	at := r.unused
	if at != 0 {
		r.unused = r.entries[at].next
		r.entries[at] = recentEntry[K, V]{key: key}
	} else {
		at = int32(len(r.entries))
		r.entries = append(r.entries, recentEntry[K, V]{key: key})
	}
	r.index[key] = at
	return at
}

func (r *recent[K, V]) unlink(at int32) {
	e := &r.entries[at]
	r.entries[e.prev].next, r.entries[e.next].prev = e.next, e.prev
}

// delete removes the key, which must be in the table.
func (r *recent[K, V]) delete(key K) {
	at := r.index[key]
	delete(r.index, key)
	if len(r.index) == 0 {
		*r = recent[K, V]{} // gives the memory back
		return
	}
	r.unlink(at)
	r.entries[at] = recentEntry[K, V]{next: r.unused}
	r.unused = at
}

// oldest returns the entry that was touched least recently; ok is false if there is none.
func (r *recent[K, V]) oldest() (key K, value *V, ok bool) {
	if len(r.index) == 0 {
		return key, nil, false
	}
	e := &r.entries[r.entries[0].next]
	return e.key, &e.value, true
}
