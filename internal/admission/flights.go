package admission

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Flights let equal work, that of one key, run once at a time behind a gate. Of those who ask for
// it one runs it; the others join those who wait for their turn and get their answer, or wait until
// it is over and run it themselves, as each says. V is the answer.
//
// A caller goes Join, Wait if it must, Run if it is the one to run, and Answer.
type Flights[K comparable, V any] struct {
	Gate   *Gate // must not change
	Broken error // the answer when the work panics; must not change

	changing sync.Mutex                   // held while the state changes
	state    atomic.Pointer[flightsState] // nil at first
	shards   [flightShards]flightShard[K, V]
	joined   atomic.Int64 // callers who want the answer of another's work
	behind   atomic.Int64 // callers who wait until equal work is over, for their own
}

// flightsState is what all flights have in common. It does not change, but is replaced.
type flightsState struct {
	timeout  time.Duration
	closed   bool
	replaced chan struct{} // closed when there is a new one
}

// flightShards is how many locks there are: work of different keys has nothing to wait for.
const flightShards = 64

type flightShard[K comparable, V any] struct {
	mu   sync.Mutex
	keys Table[K, *flight[K, V]]
	_    [32]byte // the next one is on another line of the processor's cache
}

var flightSeed = maphash.MakeSeed()

func (f *Flights[K, V]) shard(key K) *flightShard[K, V] {
	return &f.shards[maphash.Comparable(flightSeed, key)%flightShards]
}

// now returns the state of now.
func (f *Flights[K, V]) now() *flightsState {
	if state := f.state.Load(); state != nil {
		return state
	}
	f.state.CompareAndSwap(nil, &flightsState{replaced: make(chan struct{})})
	return f.state.Load()
}

// A Sharing says whose work a caller may get the answer of.
type Sharing int

const (
	Alone       Sharing = iota // of its own, which runs when all equal work before it is over
	JoinWaiting                // also of equal work that has not begun
	JoinRunning                // also of equal work that has
)

// SetTimeout changes the longest wait. Zero means no limit. Who waits asks for its limits again.
func (f *Flights[K, V]) SetTimeout(timeout time.Duration) {
	f.change(func(state *flightsState) { state.timeout = timeout })
}

// Close refuses all who wait and all who come. What runs goes on.
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
// work is over, for their own.
func (f *Flights[K, V]) Counts() (joined, behind int) {
	return int(f.joined.Load()), int(f.behind.Load())
}

// Entries returns how many keys there is work of.
func (f *Flights[K, V]) Entries() (n int) {
	for i := range f.shards {
		shard := &f.shards[i]
		shard.mu.Lock()
		n += shard.keys.Len()
		shard.mu.Unlock()
	}
	return n
}
