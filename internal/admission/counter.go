package admission

import "sync"

// A Counter counts what each key has and what all keys have together, up to limits that may differ
// from call to call. The zero key has no count of its own, and counts only for all keys.
type Counter[K comparable] struct {
	mu    sync.Mutex
	total int
	keys  Table[K, int]
}

// CounterLimits are the limits of one key and of all together. Zero means no limit.
type CounterLimits struct {
	Key, All int
	Force    bool // count even if a limit is reached
}

// Acquire adds one to the key's count, and returns a function that takes it off again; a second
// call of it does nothing. The refusal is KeyFull or AllFull. Then, without Force, nothing is
// counted and release is nil.
func (c *Counter[K]) Acquire(key K, limits CounterLimits) (release func(), refusal Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case limits.Key > 0 && c.keys.Get(key) >= limits.Key:
		refusal = Refusal{Reason: KeyFull, Limit: limits.Key}
	case limits.All > 0 && c.total >= limits.All:
		refusal = Refusal{Reason: AllFull, Limit: limits.All}
	}
	if refusal.Is() && !limits.Force {
		return nil, refusal
	}
	c.addLocked(key, 1)
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.addLocked(key, -1)
	}), refusal
}

func (c *Counter[K]) addLocked(key K, n int) {
	c.total += n
	add(&c.keys, key, n)
}

// Count returns the count of all keys together.
func (c *Counter[K]) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// Entries returns how many keys have a count.
func (c *Counter[K]) Entries() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys.Len()
}
