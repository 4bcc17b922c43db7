package admission

import "time"

// A Ticket is what a caller gets: a slot, a place in the queue, or a refusal. It belongs to the
// caller's goroutine. The zero Ticket holds nothing.
type Ticket struct {
	Refusal Refusal

	gate   *Gate // nil if the ticket holds nothing
	key    *Key
	waiter *waiter // nil if the slot was granted at once
}

// Waiting reports whether the ticket has a place in the queue, and no slot yet.
func (t *Ticket) Waiting() bool {
	return t.gate != nil && t.waiter != nil && !isClosed(t.waiter.ready)
}

// Ready returns a channel that is closed when the ticket gets its slot; nil if the ticket had a
// slot at once, or was refused.
func (t *Ticket) Ready() <-chan struct{} {
	if t.waiter == nil {
		return nil
	}
	return t.waiter.ready
}

// Waited returns how long the caller has waited so far.
func (t *Ticket) Waited() time.Duration {
	switch {
	case t.waiter == nil:
		return 0
	case t.Waiting():
		return time.Since(t.waiter.start)
	default:
		return t.waiter.waited
	}
}

// Wait blocks until the ticket has a slot, or returns the refusal: of a limit when the time is up,
// Closed, or Gone when gone is closed, even at the last moment. After a refusal the ticket has no
// place in the queue.
func (t *Ticket) Wait(gone <-chan struct{}) Refusal {
	for again := t.gate != nil && t.waiter != nil; again && !t.Refusal.Is(); {
		if again = t.waitOnce(gone); again {
			t.look()
		}
		if isClosed(gone) && !t.Refusal.Is() {
			t.Release()
			t.Refusal = Refusal{Reason: Gone}
		}
	}
	return t.Refusal
}

// waitOnce waits until the ticket has a slot or is refused. again is true if the limits have
// changed: the caller must then look at them, and wait again.
func (t *Ticket) waitOnce(gone <-chan struct{}) (again bool) {
	w := t.waiter
	var timeout <-chan time.Time
	if !w.deadline.IsZero() {
		timer := time.NewTimer(time.Until(w.deadline))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-w.ready:
	case <-gone:
	case <-timeout:
		t.giveUp()
	case <-w.changed:
		return true
	}
	return false
}

// giveUp ends the wait at its deadline, unless the slot has been granted meanwhile.
func (t *Ticket) giveUp() {
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if !t.waiter.granted {
		t.refuseLocked(g.blockedLocked(t.waiter))
	}
}

// refuseLocked removes the ticket from the queue.
func (t *Ticket) refuseLocked(refusal Refusal) {
	t.gate.leaveQueueLocked(t.waiter)
	t.gate, t.Refusal = nil, refusal
}

// look reads the new deadline, or gives up if the gate was closed.
func (t *Ticket) look() {
	g, w := t.gate, t.waiter
	g.mu.Lock()
	defer g.mu.Unlock()
	g.noteLocked(w)
	if g.closed && !w.granted {
		t.refuseLocked(Refusal{Reason: Closed})
	}
}

// Release gives back the ticket's slot, or its place in the queue. A second call does nothing.
func (t *Ticket) Release() {
	if t.gate == nil {
		return
	}
	g := t.gate
	t.gate = nil
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.waiter != nil && !t.waiter.granted {
		g.leaveQueueLocked(t.waiter)
		return
	}
	k := g.of(t.key)
	k.running--
	g.running--
	g.takeTurnLocked(k)
	g.grantLocked()
}

// Overdue is for a caller that runs without its slot, and keeps the ticket only to see when it
// would have had one. It returns the refusal that the caller would have got by now if it had
// waited. There is none if the time is not up, or if there is no limit any more.
func (t *Ticket) Overdue() Refusal {
	if t.gate == nil || t.waiter == nil {
		return Refusal{}
	}
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	deadline := g.deadlineLocked(t.waiter)
	if deadline.IsZero() || t.waiter.start.Add(t.Waited()).Before(deadline) {
		return Refusal{}
	}
	return g.blockedLocked(t.waiter)
}

// blocked returns the refusal of a caller whose time is up now; none if the ticket has a slot.
func (t *Ticket) blocked() Refusal {
	if t.gate == nil || t.waiter == nil {
		return t.Refusal
	}
	t.gate.mu.Lock()
	defer t.gate.mu.Unlock()
	if t.waiter.granted {
		return Refusal{}
	}
	return t.gate.blockedLocked(t.waiter)
}
