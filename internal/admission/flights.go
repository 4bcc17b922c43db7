package admission

import (
	"sync"
	"sync/atomic"
	"time"
)

// Flights lets equal work, which is work with the same key, run once at a time behind a gate. One
// caller runs it. Each of the others chooses by its Sharing: it gets the answer of equal work, or
// it waits until that is over and runs its own. V is the answer.
//
// A caller calls Join of its [Part], then Wait if the part is waiting, Run if the part says so, and
// Answer.
type Flights[K FlightKey, V any] struct {
	Gate   *Gate // must not change
	Broken error // the error if the work panics; must not change

	changing sync.Mutex                   // held while the state changes
	state    atomic.Pointer[flightsState] // nil at first
	shards   [flightShards]flightShard[K, V]
	joined   atomic.Int64 // callers that want the answer of another's work
	behind   atomic.Int64 // callers that wait until equal work is over, to run their own
}

// A FlightKey says which work is equal. Hash should differ for different keys: if it does not,
// their work runs as if it were not equal to any.
type FlightKey interface {
	comparable
	Hash() uint64
}

// flightsState is what all flights share. It is replaced as a whole, never changed.
type flightsState struct {
	timeout  time.Duration
	closed   bool
	replaced chan struct{} // closed when there is a new state
}

// flightShards is the number of locks. With several, work of different keys seldom waits for a
// lock.
const flightShards = 64

type flightShard[K FlightKey, V any] struct {
	mu     sync.Mutex
	first  *flight[K, V]                // one of them, as most shards have at most one
	others Table[uint64, *flight[K, V]] // by the hash of the key
	_      [24]byte                     // puts the next shard on another line of the cache
}

func (s *flightShard[K, V]) get(hash uint64) *flight[K, V] {
	if s.first != nil && s.first.hash == hash {
		return s.first
	}
	return s.others.Get(hash)
}

func (s *flightShard[K, V]) add(fl *flight[K, V]) {
	if s.first == nil {
		s.first = fl
		return
	}
	s.others.Set(fl.hash, fl)
}

func (s *flightShard[K, V]) remove(fl *flight[K, V]) {
	if s.first == fl {
		s.first = nil
		return
	}
	s.others.Delete(fl.hash)
}

func (s *flightShard[K, V]) len() int {
	if s.first == nil {
		return s.others.Len()
	}
	return s.others.Len() + 1
}

func (f *Flights[K, V]) shard(hash uint64) *flightShard[K, V] {
	return &f.shards[hash%flightShards]
}

// now returns the current state.
func (f *Flights[K, V]) now() *flightsState {
	if state := f.state.Load(); state != nil {
		return state
	}
	f.state.CompareAndSwap(nil, &flightsState{replaced: make(chan struct{})})
	return f.state.Load()
}

// A Sharing says which work may give a caller its answer.
type Sharing int

const (
	Alone       Sharing = iota // only its own, which runs after all equal work before it
	JoinWaiting                // also equal work that has not begun
	JoinRunning                // also equal work that runs
)

// SetTimeout changes the longest wait. Zero means no limit. All who wait read their limits again.
func (f *Flights[K, V]) SetTimeout(timeout time.Duration) {
	f.change(func(state *flightsState) { state.timeout = timeout })
}

// Close refuses all who wait and all who come later. Running work continues.
func (f *Flights[K, V]) Close() {
	f.change(func(state *flightsState) { state.closed = true })
}

func (f *Flights[K, V]) change(change func(*flightsState)) {
	f.changing.Lock()
	defer f.changing.Unlock()
	old := f.now()
	state := *old
	state.replaced = make(chan struct{})
	change(&state)
	f.state.Store(&state)
	close(old.replaced)
}

// Counts returns how many callers want the answer of another's work, and how many wait until equal
// work is over, to run their own.
func (f *Flights[K, V]) Counts() (joined, behind int) {
	return int(f.joined.Load()), int(f.behind.Load())
}

// Entries returns how many keys have work.
func (f *Flights[K, V]) Entries() (n int) {
	for i := range f.shards {
		shard := &f.shards[i]
		shard.mu.Lock()
		n += shard.len()
		shard.mu.Unlock()
	}
	return n
}
