package limits

import (
	"container/list"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
)

// gate lets commands in, up to a limit for each user and one for all of them together, and keeps
// the others in a queue.
//
// Within a user it is first come first served, between users turn by turn: whenever a slot is free
// it goes to the next user in the round who has a command waiting and is below the own limit.
// [golang.org/x/sync/semaphore] has neither turns nor a size that can change, and one semaphore
// behind another makes a light user wait for the heavy ones who hold the first and wait for the
// second. Here both slots are granted under one lock: one wait, one deadline, nothing to roll back,
// and each step but a change of the limits is O(1).
type gate struct {
	perUser func(*clientLimits) int // the limit for the user of a client
	refusal *imap.Error             // what a command gets that has waited too long, or finds the queue full

	mu      sync.Mutex
	limits  gateLimits
	closed  bool
	changed chan struct{} // closed when limits or closed change
	running int
	waiting int
	users   table[string, gateUser] // those who have a command running or waiting
	turns   list.List               // of *queue: the users who have a command waiting and are below their limit, the next one first
}

// gateLimits are the limits of all users together. 0: no limit.
type gateLimits struct {
	max, maxWaiting int
	timeout         time.Duration
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

// waiter is a command in the queue, or one that came through it and is inside.
type waiter struct {
	client  *client
	user    string // whose it is: the client may have logged out when a shared SEARCH, for which it came, still waits
	start   time.Time
	ready   chan struct{} // closed when the slot is granted
	granted bool
	waited  time.Duration // when it was granted
	place   *list.Element
}

// noWait is closed: it is what those have for ready whose slot was granted at once.
var noWait = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// slot is a place inside. Release gives it back, once.
type slot struct {
	gate *gate
	user string
	// shadow is set under DryRun for a command that runs although it should wait: this waits in its
	// place.
	shadow *waiter
	waited time.Duration // in the queue
}

// acquire returns a slot for a command of the client as soon as there is one. The refusal is the
// gate's own, ErrClosed or errClientGone; then no slot is held and nothing is left in the queue. In
// every case waited tells how long it took.
func (g *gate) acquire(c *client) (s slot, refusal *imap.Error) {
	settings := c.limiter.settings.Load()
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return slot{}, ErrClosed
	}
	if g.mayEnterLocked(c) {
		g.enterLocked(c.turn)
		g.mu.Unlock()
		return slot{gate: g, user: c.turn}, nil
	}
	if g.queueFullLocked(c) {
		if settings.DryRun {
			g.enterLocked(c.turn)
			s = slot{gate: g, user: c.turn}
		}
		g.mu.Unlock()
		return s, g.refusal
	}
	w := g.enqueueLocked(c)
	g.mu.Unlock()
	if settings.DryRun {
		return slot{gate: g, user: c.turn, shadow: w}, nil
	}
	return g.await(w, settings.ProgressInterval)
}

// await waits until the waiter is granted its slot.
func (g *gate) await(w *waiter, interval time.Duration) (s slot, refusal *imap.Error) {
	wait := wait{client: w.client, progress: newProgress(textWaiting, interval, w.start)}
	defer wait.end()
	w.client.activity.wait(true)
	defer w.client.activity.wait(false)
	for {
		var changed <-chan struct{}
		wait.deadline, changed, _ = g.terms(w.start)
		got := wait.next(w.ready, changed)
		gone := got == outcomeClientGone || w.client.socket.hungUp()

		g.mu.Lock()
		s.waited = time.Since(w.start)
		switch {
		case gone:
			refusal = errClientGone
		case w.granted:
			g.mu.Unlock()
			s.gate, s.user = g, w.user
			return s, nil
		case g.closed:
			refusal = ErrClosed
		case got == outcomeTimedOut:
			refusal = g.refusal
		default:
			g.mu.Unlock()
			if w.client.limiter.settings.Load().DryRun {
				s.gate, s.user, s.shadow = g, w.user, w
				return s, nil
			}
			continue
		}
		g.abandonLocked(w)
		g.mu.Unlock()
		return s, refusal
	}
}

// release gives the slot back; a second call does nothing. It returns the gate's refusal for a
// command that ran under DryRun and would have got that, having waited for as long as it ran.
func (s *slot) release() (wouldBeRefused *imap.Error) {
	if s.gate == nil {
		return nil
	}
	g := s.gate
	s.gate = nil
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.shadow == nil {
		g.leaveLocked(s.user)
		return nil
	}
	waited := s.shadow.waited
	if !s.shadow.granted {
		waited = time.Since(s.shadow.start)
	}
	if timeout := g.limits.timeout; timeout > 0 && waited >= timeout {
		s.waited, wouldBeRefused = timeout, g.refusal
	}
	g.abandonLocked(s.shadow)
	return wouldBeRefused
}

// join puts a command into the queue without waiting for it; it may be granted at once. Its waiter
// must be abandoned. One that has waited elsewhere is let in even when the queue is full.
func (g *gate) join(c *client, hasWaited bool) (*waiter, *imap.Error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return nil, ErrClosed
	case g.mayEnterLocked(c):
		g.enterLocked(c.turn)
		return &waiter{client: c, user: c.turn, granted: true, ready: noWait}, nil
	case !hasWaited && g.queueFullLocked(c):
		return nil, g.refusal
	}
	return g.enqueueLocked(c), nil
}

// abandon takes a waiter out of the queue or, if it is inside, out of there.
func (g *gate) abandon(w *waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.abandonLocked(w)
}

func (g *gate) abandonLocked(w *waiter) {
	user := w.user
	if w.granted {
		g.leaveLocked(user)
		return
	}
	u := g.users.get(user)
	u.queue.waiters.Remove(w.place)
	g.waiting--
	g.storeLocked(user, u)
	// The next of the user may have a higher limit than this one had.
	g.takeTurnLocked(u)
	g.grantLocked()
}

// setLimits changes the limits of all together. Those of the users are their clients', and may have
// changed as well.
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

// mayEnterLocked tells whether a command that comes now need not wait. If somebody else's turn were
// possible now, it would have been granted already, so that nobody is passed but by those who are
// exempt.
func (g *gate) mayEnterLocked(c *client) bool {
	u := g.users.get(c.turn)
	return c.limits.Load().exempt || u.queue == nil && g.roomLocked() && g.roomForLocked(u, c)
}

func (g *gate) queueFullLocked(c *client) bool {
	if max := g.limits.maxWaiting; max > 0 && g.waiting >= max {
		return true
	}
	max, q := c.limits.Load().MaxWaitingPerUser, g.users.get(c.turn).queue
	return max > 0 && q != nil && q.waiters.Len() >= max
}

func (g *gate) roomLocked() bool { return g.limits.max == 0 || g.running < g.limits.max }

func (g *gate) roomForLocked(u gateUser, c *client) bool {
	limits := c.limits.Load()
	max := g.perUser(limits)
	return limits.exempt || max <= 0 || u.running < max
}

func (g *gate) enterLocked(user string) {
	u := g.users.get(user)
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

func (g *gate) enqueueLocked(c *client) *waiter {
	u := g.users.get(c.turn)
	if u.queue == nil {
		u.queue = &queue{user: c.turn}
	}
	w := &waiter{client: c, user: c.turn, start: time.Now(), ready: make(chan struct{})}
	w.place = u.queue.waiters.PushBack(w)
	g.waiting++
	g.users.set(c.turn, u)
	g.takeTurnLocked(u)
	return w
}

// storeLocked keeps of the user what there still is: no queue if it is empty, no entry if nothing
// runs or waits.
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

// takeTurnLocked puts the user at the end of the round, if a command of theirs waits and could run
// by their own limit.
func (g *gate) takeTurnLocked(u gateUser) {
	if u.queue == nil || u.queue.turn != nil || u.queue.waiters.Len() == 0 {
		return
	}
	if first := u.queue.waiters.Front().Value.(*waiter); g.roomForLocked(u, first.client) {
		u.queue.turn = g.turns.PushBack(u.queue)
	}
}

// grantLocked gives the free slots to the users whose turn it is.
func (g *gate) grantLocked() {
	for !g.closed && g.roomLocked() && g.turns.Len() > 0 {
		q := g.turns.Remove(g.turns.Front()).(*queue)
		q.turn = nil
		u := g.users.get(q.user)
		first := q.waiters.Front()
		w := first.Value.(*waiter)
		if !g.roomForLocked(u, w.client) {
			continue // the limit went down meanwhile; a release puts the user back in the round
		}
		q.waiters.Remove(first)
		w.granted, w.waited = true, time.Since(w.start)
		close(w.ready)
		g.waiting--
		u.running++
		g.running++
		g.storeLocked(q.user, u)
		g.takeTurnLocked(u)
	}
}

// blockingLimit returns the limit that keeps the client's next command out: the server's with its
// name, or the user's, and its value.
func (g *gate) blockingLimit(c *client, name string) (string, int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.roomForLocked(g.users.get(c.turn), c) {
		return name + "PerUser", int64(g.perUser(c.limits.Load()))
	}
	return name, int64(g.limits.max)
}

// fullQueue returns the limit of the queue that is reached.
func (g *gate) fullQueue(c *client) (string, int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if max := g.limits.maxWaiting; max > 0 && g.waiting >= max {
		return "MaxWaiting", int64(max)
	}
	return "MaxWaitingPerUser", int64(c.limits.Load().MaxWaitingPerUser)
}

// terms returns until when a command that came at start may wait, never if zero, and a channel that
// is closed when to ask again.
func (g *gate) terms(start time.Time) (deadline time.Time, changed <-chan struct{}, closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.limits.timeout > 0 {
		deadline = start.Add(g.limits.timeout)
	}
	return deadline, g.changed, g.closed
}

func (g *gate) counts() (running, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running, g.waiting
}
