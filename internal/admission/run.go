package admission

// Abandoned returns a channel that is closed when nobody wants the answer any more. It is for the
// caller that runs the work. That caller calls Withdraw when its own client is gone.
func (p *Part[K, V]) Abandoned() <-chan struct{} {
	g := p.group
	g.lock()
	defer g.unlock()
	if g.abandoned == nil {
		g.abandoned = make(chan struct{})
		if g.members.n == 0 {
			close(g.abandoned)
		}
	}
	return g.abandoned
}

// Run runs the work for all who want its answer. orphaned means that it failed and that its own
// client was gone, which may be the only reason. If the work panics, the others get the error
// Broken.
func (p *Part[K, V]) Run(work func() (value V, orphaned bool, err error)) {
	g := p.group
	defer p.finish()
	g.err = p.flights.Broken // stays if the work panics
	g.value, g.orphaned, g.err = work()
}

// finish publishes the answer, releases the slot, and lets the next group ask for a ticket.
func (p *Part[K, V]) finish() {
	f, g := p.flights, p.group
	g.lock()
	f.overLocked(g)
	p.Shared = g.flight.touched
	ticket := g.ticket
	next := f.nextLocked(g.flight)
	g.unlock()
	ticket.Release()
	g.turn.Release()
	f.ask(next, true, nil)
}

// Answer returns the answer, once. orphaned is as Run describes it.
func (p *Part[K, V]) Answer() (value V, orphaned bool, err error) {
	g := p.group
	value, orphaned, err = g.value, g.orphaned, g.err
	p.forget()
	return value, orphaned, err
}
