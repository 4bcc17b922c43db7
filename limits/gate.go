package limits

import (
	"container/list"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
)

// gate lets commands in, up to a limit for each user and one for all of them together, and keeps the others in a queue.
//
// Within a user it is first come first served, between users turn by turn: whenever a slot is free it goes to the next user in the round
// who has a command waiting and is below the own limit. [golang.org/x/sync/semaphore] has neither turns nor a size that can change,
// and one semaphore behind another makes a light user wait for the heavy ones who hold the first and wait for the second. Here both
// slots are granted under one lock: one wait, one deadline, nothing to roll back, and each step but a change of the limits is O(1).
type gate struct {
	refusal *imap.Error // what a command gets that has waited too long

	mu      sync.Mutex
	limits  gateLimits
	closed  bool
	changed chan struct{} // closed when limits or closed change
	running int
	waiting int
	users   table[string, gateUser] // those who have a command running or waiting
	turns   list.List               // of *queue: the users who have a command waiting and are below their limit, the next one first
}

type gateLimits struct {
	max, maxPerUser int           // 0: no limit
	timeout         time.Duration // 0: never
}

type gateUser struct {
	running int
	queue   *queue // nil if no command waits
}

// queue holds the waiting commands of one user.
type queue struct {
	user    string
	waiters list.List     // of *waiter
	turn    *list.Element // in gate.turns, nil if not there
}

type waiter struct {
	ready   chan struct{} // closed when the slot is granted
	granted bool
}

// slot is a place inside. Release gives it back, once.
type slot struct {
	gate   *gate
	user   string
	waited time.Duration // in the queue
}

// acquire returns a slot for a command of the user as soon as there is one. The refusal is the gate's own, ErrClosed or
// errClientGone; then no slot is held and nothing is left in the queue. In every case s.waited tells how long it took.
func (g *gate) acquire(user string, client *socket) (s slot, refusal *imap.Error) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return slot{}, ErrClosed
	}
	// If somebody else's turn were possible now, it would have been granted already.
	if u := g.users.get(user); u.queue == nil && g.roomLocked() && g.roomForLocked(u) {
		g.enterLocked(user, u)
		g.mu.Unlock()
		return slot{gate: g, user: user}, nil
	}
	start := time.Now()
	w, element := g.enqueueLocked(user)
	limits, changed := g.limits, g.changed
	g.mu.Unlock()

	for {
		var deadline time.Time
		if limits.timeout > 0 {
			deadline = start.Add(limits.timeout)
		}
		got := await(w.ready, changed, deadline, client)

		g.mu.Lock()
		s.waited = time.Since(start)
		switch {
		case w.granted && got == outcomeClientGone:
			g.leaveLocked(user)
			g.mu.Unlock()
			return s, errClientGone
		case w.granted:
			g.mu.Unlock()
			s.gate, s.user = g, user
			return s, nil
		case g.closed:
			refusal = ErrClosed
		case got == outcomeTimedOut:
			refusal = g.refusal
		case got == outcomeClientGone:
			refusal = errClientGone
		default:
			limits, changed = g.limits, g.changed
			g.mu.Unlock()
			continue
		}
		g.dequeueLocked(user, element)
		g.mu.Unlock()
		return s, refusal
	}
}

// release gives the slot back. A second call does nothing.
func (s *slot) release() {
	if s.gate == nil {
		return
	}
	s.gate.mu.Lock()
	s.gate.leaveLocked(s.user)
	s.gate.mu.Unlock()
	s.gate = nil
}

func (g *gate) setLimits(limits gateLimits) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits = limits
	for _, u := range g.users.entries {
		g.takeTurnLocked(u)
	}
	g.grantLocked()
	g.wakeLocked()
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.wakeLocked()
}

// wakeLocked makes all who wait look at limits and closed again.
func (g *gate) wakeLocked() {
	if g.changed != nil {
		close(g.changed)
	}
	g.changed = make(chan struct{})
}

func (g *gate) roomLocked() bool { return g.limits.max == 0 || g.running < g.limits.max }

func (g *gate) roomForLocked(u gateUser) bool {
	return g.limits.maxPerUser == 0 || u.running < g.limits.maxPerUser
}

func (g *gate) enterLocked(user string, u gateUser) {
	u.running++
	g.running++
	g.users.set(user, u)
}

func (g *gate) leaveLocked(user string) {
	u := g.users.get(user)
	u.running--
	g.running--
	g.storeLocked(user, u)
	g.takeTurnLocked(u)
	g.grantLocked()
}

func (g *gate) enqueueLocked(user string) (*waiter, *list.Element) {
	u := g.users.get(user)
	if u.queue == nil {
		u.queue = &queue{user: user}
	}
	w := &waiter{ready: make(chan struct{})}
	element := u.queue.waiters.PushBack(w)
	g.waiting++
	g.users.set(user, u)
	g.takeTurnLocked(u)
	return w, element
}

func (g *gate) dequeueLocked(user string, element *list.Element) {
	u := g.users.get(user)
	u.queue.waiters.Remove(element)
	g.waiting--
	g.storeLocked(user, u)
}

// storeLocked keeps of the user what there still is: no queue if it is empty, no entry if nothing runs or waits.
func (g *gate) storeLocked(user string, u gateUser) {
	if u.queue != nil && u.queue.waiters.Len() == 0 {
		if u.queue.turn != nil {
			g.turns.Remove(u.queue.turn)
		}
		u.queue = nil
	}
	if u == (gateUser{}) {
		g.users.delete(user)
	} else {
		g.users.set(user, u)
	}
}

// takeTurnLocked puts the user at the end of the round, if a command of theirs waits and could run by their own limit.
func (g *gate) takeTurnLocked(u gateUser) {
	if u.queue != nil && u.queue.waiters.Len() > 0 && u.queue.turn == nil && g.roomForLocked(u) {
		u.queue.turn = g.turns.PushBack(u.queue)
	}
}

// grantLocked gives the free slots to the users whose turn it is.
func (g *gate) grantLocked() {
	for g.roomLocked() && g.turns.Len() > 0 {
		q := g.turns.Remove(g.turns.Front()).(*queue)
		q.turn = nil
		u := g.users.get(q.user)
		if !g.roomForLocked(u) {
			continue // the limit went down meanwhile; a release puts the user back in the round
		}
		w := q.waiters.Remove(q.waiters.Front()).(*waiter)
		w.granted = true
		close(w.ready)
		g.waiting--
		u.running++
		g.running++
		g.storeLocked(q.user, u)
		g.takeTurnLocked(u)
	}
}

// blockingLimit returns the limit that keeps the user's next command out: the server's with its name, or the user's, and its value.
func (g *gate) blockingLimit(user, name string) (string, int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.roomForLocked(g.users.get(user)) {
		return name + "PerUser", g.limits.maxPerUser
	}
	return name, g.limits.max
}

func (g *gate) counts() (running, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running, g.waiting
}
