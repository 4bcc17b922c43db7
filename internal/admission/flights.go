package admission

import (
	"container/list"
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

// flight is the work of one key: a group that runs, and those that wait, first come first served.
type flight[K comparable, V any] struct {
	shard   *flightShard[K, V] // whose lock guards it, and its groups
	key     K
	running *group[K, V]
	waiting list.List // of *group
}

// group is work, and those who want its answer. Nobody leads while it waits: whoever is awake first
// when the slot is granted runs it, and who leaves takes nothing along.
type group[K comparable, V any] struct {
	flight    *flight[K, V]
	place     *list.Element // in flight.waiting
	turn      string        // its key at the gate
	caller    Caller        // whose limits it has there, also when the caller has left
	alone     bool          // nobody may join it
	members   int
	ownerless bool // the caller that runs it wants the answer no more, but others may

	ticket Ticket
	stage  stage
	wake   chan struct{} // closed when the stage changes; nil if nobody waits for that

	refusal   Refusal
	value     V
	err       error
	orphaned  bool          // it failed, and the client for whom it ran was gone
	abandoned chan struct{} // closed when nobody wants the answer any more; nil if nobody asked
}

type stage int

const (
	stageBehind   stage = iota // equal work runs, or is before it
	stageAsking                // somebody is asking the gate for a ticket, without the lock
	stageQueued                // it has a ticket
	stageRunning               // it runs
	stageFinished              // there is an answer, or a refusal
)

// A Part is a caller's part in the work. It belongs to the goroutine of the caller, but for
// Withdraw and Abandoned.
type Part[K comparable, V any] struct {
	Refusal Refusal
	Runs    bool          // the caller is the one to run the work
	Waited  time.Duration // until the answer was there, or until the caller could run the work
	Start   time.Time     // when the wait began: now, unless the caller has waited before

	flights *Flights[K, V]
	group   *group[K, V]
	caller  Caller
	changed <-chan struct{} // flightsState.replaced, as it was when the caller last read its limits
	settled bool            // there is nothing to wait for any more
	left    bool            // it is no member of the group any more
}

// Join returns the caller's part in the work of the key. It does not block: if the part is waiting,
// Wait does. The turn is the caller's key at the gate.
func (f *Flights[K, V]) Join(key K, turn string, caller Caller, sharing Sharing) *Part[K, V] {
	p := &Part[K, V]{flights: f, caller: caller, Start: time.Now()}
	state, shard := f.now(), f.shard(key)
	if state.closed {
		p.Refusal, p.settled, p.left = Refusal{Reason: Closed}, true, true
		return p
	}
	p.changed = state.replaced
	shard.mu.Lock()
	fl := shard.keys.Get(key)
	if fl == nil {
		fl = &flight[K, V]{shard: shard, key: key}
		shard.keys.Set(key, fl)
	}
	if p.group = fl.open(sharing); p.group == nil {
		p.group = &group[K, V]{flight: fl, turn: turn, caller: caller, alone: sharing == Alone}
		p.group.place = fl.waiting.PushBack(p.group)
		f.countBehind(p.group, 1)
	}
	p.group.add(f, 1)
	next := f.nextLocked(fl)
	shard.mu.Unlock()
	f.ask(next, false, p)
	return p
}

// open returns the group that a caller may join: the one that runs, or the last one that waits. It
// returns nil if there is none. Work that nobody wants any more is being stopped.
func (fl *flight[K, V]) open(sharing Sharing) *group[K, V] {
	running := fl.running
	if sharing == JoinRunning && running != nil && !running.alone && running.members > 0 {
		return running
	}
	if last := fl.waiting.Back(); last != nil && sharing != Alone {
		if g := last.Value.(*group[K, V]); !g.alone {
			return g
		}
	}
	return nil
}

func (g *group[K, V]) lock()   { g.flight.shard.mu.Lock() }
func (g *group[K, V]) unlock() { g.flight.shard.mu.Unlock() }

// countBehind changes how many callers wait until equal work is over, for their own.
func (f *Flights[K, V]) countBehind(g *group[K, V], n int) {
	if g.alone {
		f.behind.Add(int64(n))
	}
}

// add changes how many members the group has.
func (g *group[K, V]) add(f *Flights[K, V], n int) {
	before := g.joined()
	g.members += n
	f.countJoined(g.joined() - before)
}

func (f *Flights[K, V]) countJoined(n int) {
	if n != 0 {
		f.joined.Add(int64(n))
	}
}

// joined returns how many members want the answer of another's work.
func (g *group[K, V]) joined() int {
	if g.ownerless {
		return g.members
	}
	return max(g.members-1, 0)
}

// nextLocked returns the group that is to ask for a ticket now, nil if there is none, and forgets a
// flight with nothing in it.
func (f *Flights[K, V]) nextLocked(fl *flight[K, V]) *group[K, V] {
	if fl.running != nil {
		return nil
	}
	first := fl.waiting.Front()
	if first == nil {
		fl.shard.keys.Delete(fl.key)
		return nil
	}
	g := first.Value.(*group[K, V])
	if g.stage != stageBehind {
		return nil
	}
	g.stage = stageAsking
	f.countBehind(g, -1)
	return g
}

// ask gets the group a ticket, or the next one if that is refused. Work that has waited for equal
// work is not refused because the queue is full. The part, if there is one, learns the outcome.
func (f *Flights[K, V]) ask(g *group[K, V], hasWaited bool, p *Part[K, V]) {
	for g != nil {
		ticket := f.Gate.enter(g.turn, g.caller, hasWaited)
		fl := g.flight
		fl.shard.mu.Lock()
		next := (*group[K, V])(nil)
		switch {
		case g.members == 0: // all have left, and taken it out of the flight
		case ticket.Refusal.Is():
			fl.waiting.Remove(g.place)
			g.refusal = ticket.Refusal
			f.overLocked(g)
			next = f.nextLocked(fl)
		default:
			g.ticket, ticket = ticket, Ticket{}
			g.setLocked(stageQueued)
		}
		if p != nil {
			p.settleLocked()
		}
		fl.shard.mu.Unlock()
		ticket.Release()
		g, hasWaited = next, true
	}
}

// setLocked changes the stage of the group, and wakes those who wait for that.
func (g *group[K, V]) setLocked(s stage) {
	g.stage = s
	if g.wake != nil {
		close(g.wake)
		g.wake = nil
	}
}

// overLocked ends a group: from now on its members leave without being counted.
func (f *Flights[K, V]) overLocked(g *group[K, V]) {
	g.add(f, -g.members)
	g.setLocked(stageFinished)
}

// Waiting tells whether the caller has neither an answer nor a refusal, nor is to run the work.
func (p *Part[K, V]) Waiting() bool { return !p.settled }

// settleLocked looks at the group, and takes the work over if nobody runs it who could.
func (p *Part[K, V]) settleLocked() {
	g := p.group
	switch {
	case g.stage == stageFinished:
		p.settled, p.Refusal = true, g.refusal
	case g.stage == stageQueued && !g.ticket.Waiting():
		g.flight.waiting.Remove(g.place)
		g.flight.running = g
		g.setLocked(stageRunning)
		p.settled, p.Runs = true, true
	}
}

// Wait blocks until there is an answer or the caller is the one to run the work, or returns the
// refusal: of the gate; EqualRuns if the time was up while equal work ran; Exempt if the caller
// need not wait any more, and is to run its work by itself; Closed; or Gone when gone is closed, be
// it at the last moment. After a refusal the caller has no part in it. Each caller has its own
// deadline, until the work begins; began is called when it does, if the caller waits then.
func (p *Part[K, V]) Wait(gone <-chan struct{}, began func()) Refusal {
	if p.settled {
		return p.Refusal
	}
	for {
		if isClosed(gone) {
			p.refuse(Refusal{Reason: Gone})
		}
		e := p.look()
		if p.settled {
			p.Waited = time.Since(p.Start)
			return p.Refusal
		}
		if e.running && began != nil {
			began()
			began = nil
		}
		switch e.wait(gone) {
		case wokenLate:
			p.timeIsUp(e.timeout)
		case wokenChanged:
			p.review()
		}
	}
}

// event is what a member waits for.
type event struct {
	running     bool            // the work runs, and there is no deadline any more
	wake, ready <-chan struct{} // there is something to look at
	changed     <-chan struct{} // limits have changed
	deadline    time.Time       // zero if there is none
	timeout     time.Duration   // from which the deadline follows
}

// look settles the part, or returns what it waits for.
func (p *Part[K, V]) look() event {
	g := p.group
	g.lock()
	defer g.unlock()
	if !p.settled { // by a refusal
		p.settleLocked()
	}
	if p.settled {
		return event{}
	}
	if g.wake == nil {
		g.wake = make(chan struct{})
	}
	e := event{wake: g.wake, changed: p.changed, running: g.stage == stageRunning}
	if e.running {
		return e
	}
	if g.stage == stageQueued {
		e.ready = g.ticket.Ready()
	}
	if e.timeout = p.flights.now().timeout; e.timeout > 0 {
		e.deadline = p.Start.Add(e.timeout)
	}
	return e
}

// woken is why a wait ended.
type woken int

const (
	wokenToLook woken = iota
	wokenLate
	wokenChanged
)

func (e event) wait(gone <-chan struct{}) woken {
	var timeout <-chan time.Time
	if !e.deadline.IsZero() {
		timer := time.NewTimer(time.Until(e.deadline))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-e.wake:
	case <-e.ready:
	case <-gone:
	case <-timeout:
		return wokenLate
	case <-e.changed:
		return wokenChanged
	}
	return wokenToLook
}

// timeIsUp refuses the caller, unless its wait has just ended or the work has begun.
func (p *Part[K, V]) timeIsUp(timeout time.Duration) {
	g := p.group
	g.lock()
	stage, ticket := g.stage, g.ticket
	g.unlock()
	why := Refusal{Reason: EqualRuns, Timeout: timeout, TimedOut: true}
	if stage == stageQueued {
		why = ticket.blocked() // none if it has got the slot
	}
	if why.Is() && stage < stageRunning {
		p.refuse(why)
	}
}

// review looks at the caller's limits, which may have changed.
func (p *Part[K, V]) review() {
	g, state := p.group, p.flights.now()
	p.changed = state.replaced
	limits := p.caller.KeyLimits(p.flights.Gate)
	g.lock()
	why := Refusal{}
	switch {
	case g.stage == stageFinished || g.stage == stageQueued && !g.ticket.Waiting():
	case state.closed:
		why.Reason = Closed
	case limits.Exempt && g.stage < stageRunning:
		why.Reason = Exempt
	}
	g.unlock()
	if why.Is() {
		p.refuse(why)
	}
}

// refuse takes the caller out of the group for the reason.
func (p *Part[K, V]) refuse(why Refusal) {
	p.settled, p.Refusal = true, why
	p.Withdraw()
}

// Withdraw says that the client of the caller that runs the work does not want the answer any more.
// It may be called again, and from another goroutine.
func (p *Part[K, V]) Withdraw() {
	if p.group == nil {
		return // it was refused at once
	}
	p.group.lock()
	release := p.leaveLocked()
	p.group.unlock()
	release()
}

// leaveLocked takes the caller out of the group, and the group out of the flight if it was the last
// one and it does not run. The rest is to be done without the lock.
func (p *Part[K, V]) leaveLocked() (release func()) {
	f, g := p.flights, p.group
	if p.left || g.stage == stageFinished {
		return func() {}
	}
	p.left = true
	before := g.joined()
	g.members--
	g.ownerless = g.ownerless || p.Runs
	f.countJoined(g.joined() - before)
	switch {
	case g.members > 0:
		return func() {}
	case g.stage == stageRunning:
		if g.abandoned != nil {
			close(g.abandoned)
		}
		return func() {}
	case g.stage == stageBehind:
		f.countBehind(g, -1)
	}
	fl, ticket := g.flight, g.ticket
	fl.waiting.Remove(g.place)
	next := f.nextLocked(fl)
	return func() {
		ticket.Release()
		f.ask(next, true, nil)
	}
}

// Abandoned returns a channel that is closed when nobody wants the answer any more. It is for the
// caller that runs the work, which says by Withdraw that its own client does not.
func (p *Part[K, V]) Abandoned() <-chan struct{} {
	g := p.group
	g.lock()
	defer g.unlock()
	if g.abandoned == nil {
		g.abandoned = make(chan struct{})
		if g.members == 0 {
			close(g.abandoned)
		}
	}
	return g.abandoned
}

// Run runs the work for all who want its answer. Orphaned says that it failed and that the client
// for whom it ran was gone, which may be all that was wrong. If the work panics, the answer of the
// others is Broken.
func (p *Part[K, V]) Run(work func() (value V, orphaned bool, err error)) {
	g := p.group
	defer p.finish()
	g.err = p.flights.Broken // until it is known better
	g.value, g.orphaned, g.err = work()
}

// finish gives the answer out and the slot back, and lets the next group ask for a ticket.
func (p *Part[K, V]) finish() {
	f, g := p.flights, p.group
	fl := g.flight
	g.lock()
	fl.running = nil
	f.overLocked(g)
	ticket := g.ticket
	next := f.nextLocked(fl)
	g.unlock()
	ticket.Release()
	f.ask(next, true, nil)
}

// Answer returns the answer, and whether it is an orphan's: see Run.
func (p *Part[K, V]) Answer() (value V, orphaned bool, err error) {
	return p.group.value, p.group.orphaned, p.group.err
}

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
