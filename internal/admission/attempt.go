package admission

import (
	"container/list"
	"time"
)

// An Attempt is a login that waits, or whose password may be checked. It belongs to the caller's
// goroutine.
type Attempt[S any] struct {
	Refusal Refusal
	Waited  time.Duration // for the outcome of others

	logins *Logins[S]
	asker  asker
	pair   *pair        // nil if the user or the network is not known, or with Force
	waiter *loginWaiter // nil if it does not wait
	ended  bool
}

// Ask returns an attempt. It does not block; if the attempt is waiting, call Wait. Without a
// refusal End must be called.
//
// A caller without a network is always checked, as nobody can say whether it is a stranger.
func (l *Logins[S]) Ask(caller LoginCaller) *Attempt[S] {
	a := &Attempt[S]{logins: l, asker: asker{LoginCaller: caller}}
	l.lock(&a.asker)
	defer l.mu.Unlock()
	if force := a.asker.limits.Force; caller.User == "" || !caller.Pair.IsValid() || force {
		if refusal := l.refusalLocked(&a.asker, ""); refusal.Is() && !force {
			a.Refusal, a.ended = refusal, true
			return a
		}
		l.checking++
		return a
	}
	key := pairKey{caller.User, caller.Pair}
	a.pair = l.pairs.Get(key)
	if a.pair == nil {
		a.pair = &pair{key: key}
		l.pairs.Set(key, a.pair)
	}
	refusal, waits := l.decideLocked(&a.asker, a.pair)
	switch {
	case waits || a.pair.waiters.Len() > 0 && !a.asker.limits.Exempt:
		a.waiter = &loginWaiter{asker: &a.asker, start: caller.Start, ready: make(chan struct{})}
		if a.waiter.start.IsZero() {
			a.waiter.start = time.Now()
		}
		a.waiter.place = a.pair.waiters.PushBack(a.waiter)
		l.waiting++
	case refusal.Is():
		a.Refusal, a.ended = refusal, true
		l.dropPairLocked(a.pair)
	default:
		l.beginLocked(a.pair)
	}
	return a
}

// Waiting reports whether the attempt waits for the outcome of others.
func (a *Attempt[S]) Waiting() bool { return a.waiter != nil }

// Wait blocks until the login may be checked, or returns the refusal: UserFull or NetworkFull, also
// when the time is up; EqualRuns when the time is up and the client has no limit; Closed; or Gone
// when gone is closed, even at the last moment.
func (a *Attempt[S]) Wait(gone <-chan struct{}) Refusal {
	if a.waiter == nil {
		return a.Refusal
	}
	var timeout <-chan time.Time
	if a.logins.Timeout > 0 {
		timer := time.NewTimer(time.Until(a.waiter.start.Add(a.logins.Timeout)))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-a.waiter.ready:
	case <-gone:
	case <-timeout:
	}
	a.endWait(isClosed(gone))
	return a.Refusal
}

// endWait ends the wait: the login may go on or is refused, its client is gone, or its time is up.
func (a *Attempt[S]) endWait(gone bool) {
	l, w := a.logins, a.waiter
	l.mu.Lock()
	defer l.mu.Unlock()
	a.waiter = nil
	a.Waited = time.Since(w.start)
	a.Refusal = w.refusal
	switch {
	case w.settled && w.refusal.Is():
		a.ended = true
	case w.settled && gone:
		a.Refusal = Refusal{Reason: Gone}
		l.endLocked(a)
	case w.settled:
	default:
		a.ended = true
		a.Refusal = l.timedOut(a.asker.limits)
		if gone {
			a.Refusal = Refusal{Reason: Gone}
		}
		a.pair.waiters.Remove(w.place)
		l.waiting--
		l.settleLocked(a.pair)
	}
}

// timedOut returns the refusal of a login that has waited too long. It does not depend on which
// limit made the login wait: a stranger must not learn that.
func (l *Logins[S]) timedOut(limits LoginLimits) Refusal {
	switch {
	case limits.User > 0:
		return Refusal{Reason: UserFull, Limit: limits.User, TimedOut: true}
	case limits.Network > 0:
		return Refusal{Reason: NetworkFull, Limit: limits.Network, TimedOut: true}
	default:
		return Refusal{Reason: EqualRuns, Timeout: l.Timeout, TimedOut: true}
	}
}

// End says that the check is over. Those who wait for its outcome go on or are refused. It may be
// called again, and from another goroutine than the caller's.
func (a *Attempt[S]) End() {
	a.logins.mu.Lock()
	defer a.logins.mu.Unlock()
	a.logins.endLocked(a)
}

func (l *Logins[S]) endLocked(a *Attempt[S]) {
	if a.ended {
		return
	}
	a.ended = true
	l.checking--
	if a.pair != nil {
		a.pair.checking--
		l.settleLocked(a.pair)
	}
}

// loginWaiter is a login that waits for the outcome of others.
type loginWaiter struct {
	asker   *asker
	start   time.Time
	ready   chan struct{} // closed when the login may be checked, or is refused
	settled bool
	refusal Refusal // set before ready is closed
	place   *list.Element
}
