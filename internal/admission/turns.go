package admission

import "time"

// wakeLocked makes all waiting callers read the limits again.
func (g *Gate) wakeLocked() {
	if g.changed != nil {
		close(g.changed)
	}
	g.changed = make(chan struct{})
}

// room reports whether one more caller with these limits may be inside, beside those of its key.
func (l KeyLimits) room(k *atGate) bool { return l.Exempt || l.Max <= 0 || k.running < l.Max }

func (g *Gate) roomLocked() bool { return g.limits.Max <= 0 || g.running < g.limits.Max }

// letsInLocked reports whether a caller that arrives with these limits gets a slot at once. If a
// waiting caller could have the slot, it would have it already. So only exempt callers jump the
// queue.
func (g *Gate) letsInLocked(k *atGate, limits KeyLimits) bool {
	return limits.Exempt || k.queue == nil && g.roomLocked() && limits.room(k)
}

func (g *Gate) queueFullLocked(k *atGate, limits KeyLimits) Refusal {
	switch {
	case g.limits.MaxWaiting > 0 && g.waiting >= g.limits.MaxWaiting:
		return Refusal{Reason: AllQueue, Limit: g.limits.MaxWaiting}
	case limits.MaxWaiting > 0 && k.queue != nil && k.queue.waiters.Len() >= limits.MaxWaiting:
		return Refusal{Reason: KeyQueue, Limit: limits.MaxWaiting}
	default:
		return Refusal{}
	}
}

// blockedLocked returns the refusal that keeps the waiter out, or has kept it out if it has a slot
// by now: the limit of its key, as the first of its queue has it; the limit of all; or Closed.
// There is none only for a waiter that has a slot and no limits any more.
func (g *Gate) blockedLocked(w *waiter) Refusal {
	k, first := g.of(w.key), w
	if !w.granted { // a waiter with a slot counts in its key itself
		first = k.queue.waiters.Front().Value.(*waiter)
	}
	own := Refusal{Reason: KeyFull, Limit: first.limits.Max, TimedOut: true}
	switch {
	case g.closed:
		return Refusal{Reason: Closed}
	case !first.limits.room(k):
		return own
	case g.limits.Max > 0:
		return Refusal{Reason: AllFull, Limit: g.limits.Max, TimedOut: true}
	case first.limits.Max > 0 && !first.limits.Exempt:
		return own
	default:
		return Refusal{}
	}
}

func (g *Gate) of(key *Key) *atGate { return &key.at[g.Number] }

func (g *Gate) enterLocked(k *atGate) {
	k.running++
	g.running++
}

func (g *Gate) enqueueLocked(w *waiter, k *atGate) {
	if k.queue == nil {
		k.queue = &queue{key: w.key}
		k.queue.place = g.queues.PushBack(k.queue)
	}
	w.place = k.queue.waiters.PushBack(w)
	g.noteLocked(w)
	g.waiting++
	g.takeTurnLocked(k)
}

// noteLocked gives the waiter its deadline, and the channel that announces new limits.
func (g *Gate) noteLocked(w *waiter) {
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	w.changed, w.deadline = g.changed, g.deadlineLocked(w)
}

// deadlineLocked returns when the waiter's time is up; zero if never.
func (g *Gate) deadlineLocked(w *waiter) time.Time {
	deadline := w.latest
	if timeout := g.limits.Timeout; timeout > 0 {
		if end := w.start.Add(timeout); deadline.IsZero() || end.Before(deadline) {
			deadline = end
		}
	}
	return deadline
}

// appendWaiters appends the queue's waiters to the list.
func (q *queue) appendWaiters(list []*waiter) []*waiter {
	for place := q.waiters.Front(); place != nil; place = place.Next() {
		list = append(list, place.Value.(*waiter))
	}
	return list
}

func (g *Gate) leaveQueueLocked(w *waiter) {
	k := g.of(w.key)
	k.queue.waiters.Remove(w.place)
	w.left, w.waited = true, time.Since(w.start)
	g.waiting--
	g.dropEmptyLocked(k)
	// The key's next waiter may have a higher limit than this one.
	g.takeTurnLocked(k)
	g.grantLocked()
}

// dropEmptyLocked drops the key's queue if nobody is left in it.
func (g *Gate) dropEmptyLocked(k *atGate) {
	if k.queue == nil || k.queue.waiters.Len() > 0 {
		return
	}
	if k.queue.turn != nil {
		g.turns.Remove(k.queue.turn)
	}
	g.queues.Remove(k.queue.place)
	k.queue = nil
}

// takeTurnLocked puts the key at the end of the round if it is not in the round, has a waiting
// caller, and has room in its own limit.
func (g *Gate) takeTurnLocked(k *atGate) {
	if k.queue == nil || k.queue.turn != nil {
		return
	}
	if first := k.queue.waiters.Front().Value.(*waiter); first.limits.room(k) {
		k.queue.turn = g.turns.PushBack(k.queue)
	}
}

// grantLocked gives free slots to the keys whose turn it is.
func (g *Gate) grantLocked() {
	for !g.closed && g.roomLocked() && g.turns.Len() > 0 {
		q := g.turns.Remove(g.turns.Front()).(*queue)
		q.turn = nil
		k := g.of(q.key)
		first := q.waiters.Front()
		w := first.Value.(*waiter)
		if !w.limits.room(k) {
			continue // the limit was lowered; a release puts the key back in the round
		}
		q.waiters.Remove(first)
		g.waiting--
		k.running++
		g.running++
		g.dropEmptyLocked(k)
		g.takeTurnLocked(k)
		w.grant()
	}
}

func (w *waiter) grant() {
	w.granted, w.waited = true, time.Since(w.start)
	close(w.ready)
}
