package admission

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// A Gate lets callers in, up to a limit for each key and one for all keys together, and queues the
// others.
//
// Within a key callers are served first come, first served; keys take turns. A free slot goes to
// the next key in the round that has a waiting caller and is below its own limit. Two semaphores,
// one behind the other, would make a light key wait for heavy ones that hold the first and wait for
// the second. Here one lock grants both slots: one wait, one deadline, and nothing to undo.
type Gate struct {
	// Number tells the gates apart that share the same Keys: 0 to 4. It must not change.
	Number int

	// changes counts the calls of SetLimits, so that no caller waits with limits that it read before
	// such a call.
	changes atomic.Uint64

	mu      sync.Mutex
	limits  GateLimits
	closed  bool
	changed chan struct{} // closed when limits or closed change
	running int
	waiting int
	queues  list.List // of *queue: keys with a waiting caller
	turns   list.List // of *queue: those of them with room in their own limit
}

// GateLimits are the limits of all keys together. Zero means no limit.
type GateLimits struct {
	Max        int           // inside at once
	MaxWaiting int           // in the queue
	Timeout    time.Duration // the longest wait
}

// KeyLimits are the limits of one key. Zero means no limit. Callers of one key may have different
// limits: each is let in by its own.
type KeyLimits struct {
	Max        int  // inside at once
	MaxWaiting int  // in the queue
	Exempt     bool // let in at once, whatever the limits
}

// A Caller asks for a slot.
type Caller interface {
	// KeyLimits returns the current limits of the caller's key at the gate. It is called without a
	// lock: when the caller arrives and, while it waits, at each call of SetLimits.
	KeyLimits(*Gate) KeyLimits
}

// atGate is what a key has at one gate, whose lock guards it.
type atGate struct {
	running int
	queue   *queue // nil if no caller waits
}

// queue has the waiting callers of one key.
type queue struct {
	key     *Key
	waiters list.List     // of *waiter
	place   *list.Element // in Gate.queues
	turn    *list.Element // in Gate.turns, nil if not there
}

// waiter is a caller that waits, or has waited.
type waiter struct {
	key    *Key
	caller Caller
	limits KeyLimits
	start  time.Time
	latest time.Time     // when the wait is over whatever the limits; zero if there is no such time
	place  *list.Element // in queue.waiters

	ready   chan struct{} // closed when the slot is granted
	granted bool          // it has a slot; written before ready is closed
	left    bool          // it gave up its place without a slot
	waited  time.Duration // how long, once granted or left is true

	// What the caller knew of the gate when it last looked.
	changed  <-chan struct{} // Gate.changed
	deadline time.Time       // zero if there is none
}

// Enter returns a ticket for a caller of the key. It does not block; if the ticket is waiting, call
// Wait. Release must be called in any case.
func (g *Gate) Enter(key *Key, caller Caller) Ticket {
	return g.enter(key, caller, time.Time{}, false)
}

// EnterUntil is Enter for a caller that has already waited for something else: its wait ends at
// that time at the latest.
func (g *Gate) EnterUntil(key *Key, caller Caller, latest time.Time) Ticket {
	return g.enter(key, caller, latest, false)
}

// EnterAnyway returns a ticket with a slot, whatever the limits, unless the gate is closed.
func (g *Gate) EnterAnyway(key *Key) Ticket {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ticketLocked(key, nil, KeyLimits{Exempt: true}, time.Time{}, false)
}

// enter is Enter; a caller that has waited elsewhere is not refused because the queue is full.
func (g *Gate) enter(key *Key, caller Caller, latest time.Time, hasWaited bool) Ticket {
	for {
		changes := g.changes.Load()
		limits := caller.KeyLimits(g)
		g.mu.Lock()
		if changes == g.changes.Load() {
			ticket := g.ticketLocked(key, caller, limits, latest, hasWaited)
			g.mu.Unlock() // a defer in a loop would take memory
			return ticket
		}
		g.mu.Unlock() // the limits may be old
	}
}

func (g *Gate) ticketLocked(
	key *Key, caller Caller, limits KeyLimits, latest time.Time, hasWaited bool,
) Ticket {
	k := g.of(key)
	switch {
	case g.closed:
		return Ticket{Refusal: Refusal{Reason: Closed}}
	case g.letsInLocked(k, limits):
		g.enterLocked(k)
		return Ticket{gate: g, key: key}
	}
	if full := g.queueFullLocked(k, limits); full.Is() && !hasWaited {
		return Ticket{Refusal: full}
	}
	w := &waiter{
		key: key, caller: caller, limits: limits, latest: latest,
		start: time.Now(), ready: make(chan struct{}),
	}
	g.enqueueLocked(w, k)
	return Ticket{gate: g, key: key, waiter: w}
}

// enterAtOnce gives the ticket, which holds nothing, a slot if there is room for the caller now,
// and reports whether it did. The limits are those that the caller had after so many changes.
func (g *Gate) enterAtOnce(t *Ticket, key *Key, limits KeyLimits, changes uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.of(key)
	if g.closed || changes != g.changes.Load() || !g.letsInLocked(k, limits) {
		return false
	}
	g.enterLocked(k)
	t.gate, t.key = g, key
	return true
}

// SetLimits changes the limits of all keys together, and asks all waiting callers for the limits of
// their keys, which must have changed before the call. When it returns, all who may are inside. If
// two calls overlap, the later one counts.
func (g *Gate) SetLimits(limits GateLimits) {
	change := g.changes.Add(1)
	g.mu.Lock()
	var waiters []*waiter
	for place := g.queues.Front(); place != nil; place = place.Next() {
		waiters = place.Value.(*queue).appendWaiters(waiters)
	}
	g.mu.Unlock()

	// A caller that arrives now reads its limits after the change, so it need not be asked.
	fresh := make([]KeyLimits, len(waiters))
	for i, w := range waiters {
		fresh[i] = w.caller.KeyLimits(g)
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	if change != g.changes.Load() {
		return
	}
	g.limits = limits
	for i, w := range waiters {
		w.limits = fresh[i]
	}
	for _, w := range waiters {
		switch {
		case w.granted || w.left || g.closed:
		case w.limits.Exempt:
			g.leaveQueueLocked(w)
			g.enterLocked(g.of(w.key))
			w.grant()
		default:
			g.takeTurnLocked(g.of(w.key))
		}
	}
	g.grantLocked()
	g.wakeLocked()
}

// Close refuses all who wait and all who come later. Callers inside keep their slots.
func (g *Gate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.wakeLocked()
}

// Counts returns how many callers are inside and how many wait.
func (g *Gate) Counts() (running, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running, g.waiting
}
