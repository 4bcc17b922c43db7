package admission

import "time"

// A Part is a caller's part in the work. The zero Part is ready, and can be used again when its
// work is over; then work that nobody shares takes no memory. It belongs to the caller's goroutine,
// except Withdraw and Abandoned.
type Part[K FlightKey, V any] struct {
	Refusal Refusal
	Runs    bool          // the caller must run the work
	Shared  bool          // after Run: others may have got the answer, too
	Waited  time.Duration // how long, until the answer came or the caller could run the work
	Start   time.Time     // when the wait began; zero if there was none

	flights *Flights[K, V]
	group   *group[K, V]
	caller  Caller
	changed <-chan struct{} // flightsState.replaced, from when the caller last read its limits
	settled bool            // the wait is over
	left    bool            // the part is no longer a member of the group

	before, after *Part[K, V] // in group.members
	own           *ownWork[K, V]
}

// Waiting reports whether the caller has neither an answer nor a refusal, and need not run the
// work.
func (p *Part[K, V]) Waiting() bool { return !p.settled }

// settleLocked checks the state of the group. If the group has a slot and nobody runs the work,
// this caller will run it.
func (p *Part[K, V]) settleLocked() {
	g := p.group
	switch {
	case g.stage == stageFinished:
		p.settled, p.Refusal = true, g.refusal
	case g.stage == stageQueued && !g.ticket.Waiting():
		g.setLocked(stageRunning)
		p.settled, p.Runs = true, true
	}
}

// Wait blocks until there is an answer or the caller must run the work, or returns the refusal: of
// the gate; EqualRuns if the time was up while equal work ran; Exempt if the caller need not wait
// any more and should run its work by itself; Closed; or Gone when gone is closed, even at the last
// moment. After a refusal the caller has no part in the work. Each caller has its own deadline,
// which ends when the work begins; began is called then, if the caller still waits.
func (p *Part[K, V]) Wait(gone <-chan struct{}, began func()) Refusal {
	if p.settled {
		return p.Refusal
	}
	p.wait(gone, began)
	if p.Refusal.Is() {
		p.forget()
	}
	return p.Refusal
}

func (p *Part[K, V]) wait(gone <-chan struct{}, began func()) {
	for {
		if isClosed(gone) {
			p.refuse(Refusal{Reason: Gone})
		}
		e := p.look()
		if p.settled {
			p.Waited = time.Since(p.Start)
			return
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
	running     bool            // the work runs, so there is no deadline any more
	wake, ready <-chan struct{} // closed when there is something to look at
	changed     <-chan struct{} // closed when limits have changed
	deadline    time.Time       // zero if there is none
	timeout     time.Duration   // the longest wait, from which the deadline follows
}

// look ends the part's wait, or returns what to wait for.
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

// woken says why a wait was over.
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

// timeIsUp refuses the caller, unless it has just got the slot or the work has begun.
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

// review reads the caller's limits, which may have changed.
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

// refuse removes the caller from the group, with that refusal.
func (p *Part[K, V]) refuse(why Refusal) {
	p.settled, p.Refusal = true, why
	p.Withdraw()
}

// Withdraw removes the caller from the group: its client no longer wants the answer. It may be
// called while the caller runs the work, again, and from another goroutine, but not after Answer.
func (p *Part[K, V]) Withdraw() {
	if p.group == nil {
		return // it was refused at once
	}
	p.group.lock()
	release := p.leaveLocked()
	p.group.unlock()
	release()
}

// leaveLocked removes the caller from the group. If it was the last member and the group does not
// run, it also removes the group from the flight. release does the rest, and must be called without
// the lock.
func (p *Part[K, V]) leaveLocked() (release func()) {
	f, g := p.flights, p.group
	if p.left || g.stage == stageFinished {
		return func() {}
	}
	p.left = true
	f.removeLocked(g, p)
	switch {
	case g.members.n > 0:
		return func() {}
	case g.stage == stageRunning:
		if g.abandoned != nil {
			close(g.abandoned)
		}
		return func() {}
	case g.stage == stageBehind:
		g.flight.behind.Remove(g.place)
		f.countBehind(g, -1)
		return g.turn.Release
	}
	next, ticket := f.nextLocked(g.flight), g.ticket
	if g.stage == stageAsking {
		return func() { f.ask(next, true, nil) } // who asks for the ticket gives all back
	}
	return func() {
		ticket.Release()
		g.turn.Release()
		f.ask(next, true, nil)
	}
}
