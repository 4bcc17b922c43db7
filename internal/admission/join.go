package admission

import "time"

// ownWork is the memory for work that the caller is the first to ask for.
type ownWork[K FlightKey, V any] struct {
	flight flight[K, V]
	group  group[K, V]
}

// Join asks for the work of the key. It does not block; if the part is waiting afterwards, call
// Wait. turn is the caller's key at the gate. waitingSince is zero, or when the caller began to
// wait for equal work.
func (p *Part[K, V]) Join(
	f *Flights[K, V], key K, turn *Key, caller Caller, sharing Sharing, waitingSince time.Time,
) {
	if p.group != nil { // the work panicked
		p.forget()
	}
	own := p.own
	*p = Part[K, V]{}
	p.flights, p.caller, p.Start, p.own = f, caller, waitingSince, own
	state, hash := f.now(), key.Hash()
	if state.closed {
		p.Refusal, p.settled, p.left = Refusal{Reason: Closed}, true, true
		return
	}
	p.changed = state.replaced
	changes := f.Gate.changes.Load()
	limits := caller.KeyLimits(f.Gate)
	shard := f.shard(hash)
	shard.mu.Lock()
	next, ok := f.joinLocked(p, shard, key, hash, turn, sharing)
	if next != nil && f.Gate.enterAtOnce(&next.ticket, turn, limits, changes) {
		next.stage = stageRunning
		p.settled, p.Runs = true, true
		next = nil
	}
	shard.mu.Unlock()
	if !ok {
		p.Refusal, p.settled, p.left = Refusal{Reason: Exempt}, true, true
		return
	}
	f.ask(next, false, p)
	switch {
	case p.Refusal.Is():
		p.forget()
	case !p.settled && p.Start.IsZero():
		p.Start = time.Now()
	}
}

// joinLocked makes the part a member of a group, perhaps of a new one. If that one must ask for a
// ticket now, joinLocked returns it. ok is false if different work has the same hash.
func (f *Flights[K, V]) joinLocked(
	p *Part[K, V], shard *flightShard[K, V], key K, hash uint64, turn *Key, sharing Sharing,
) (next *group[K, V], ok bool) {
	fl := shard.get(hash)
	if fl == nil {
		g := p.startLocked(shard, key, hash)
		g.open(p, turn, sharing)
		f.addLocked(g, p)
		return g, true
	}
	if fl.key != key {
		return nil, false
	}
	if !fl.touched { // the first caller may look at it now, without the lock
		fl.touched = true
	}
	g := fl.joinable(sharing)
	if g == nil {
		g = &group[K, V]{flight: fl}
		g.place = fl.behind.PushBack(g)
		g.open(p, turn, sharing)
		f.countBehind(g, 1)
	}
	f.addLocked(g, p)
	return nil, true
}

// startLocked returns the first group of a new flight. It is in the caller's own memory, if nobody
// else can still use that.
func (p *Part[K, V]) startLocked(shard *flightShard[K, V], key K, hash uint64) *group[K, V] {
	if p.own == nil {
		p.own = &ownWork[K, V]{}
	}
	fl, g := &p.own.flight, &p.own.group
	fl.shard, fl.key, fl.hash, fl.front = shard, key, hash, g
	g.flight, g.stage = fl, stageAsking
	shard.add(fl)
	return g
}

// forget drops what the caller does not need any more. Its own memory can be used again unless
// others may have pointers to it.
func (p *Part[K, V]) forget() {
	p.group, p.caller, p.before, p.after = nil, nil, nil, nil
	switch {
	case p.own == nil:
	case p.own.flight.touched || p.own.group.ticket.waiter != nil:
		p.own = nil
	default:
		*p.own = ownWork[K, V]{}
	}
}
