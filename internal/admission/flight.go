package admission

import "container/list"

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
	caller    Caller        // whose limits it has there: of the first member, or of the last
	alone     bool          // nobody may join it
	members   list.List     // of *Part, first come first
	ownerless bool          // the caller that runs it wants the answer no more, but others may

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

// KeyLimits returns the limits of the group at the gate.
func (g *group[K, V]) KeyLimits(gate *Gate) KeyLimits {
	g.lock()
	caller := g.caller
	g.unlock()
	return caller.KeyLimits(gate)
}

// open returns the group that a caller may join: the one that runs, unless its members have all
// left, as it is being stopped then; or the last one that waits. It returns nil if there is none.
func (fl *flight[K, V]) open(sharing Sharing) *group[K, V] {
	running := fl.running
	if sharing == JoinRunning && running != nil && !running.alone && running.members.Len() > 0 {
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

// addLocked makes the part a member of the group.
func (f *Flights[K, V]) addLocked(g *group[K, V], p *Part[K, V]) {
	before := g.joined()
	p.group, p.place = g, g.members.PushBack(p)
	f.countJoined(g.joined() - before)
}

// removeLocked makes the part no member any more. The limits of the group are those of its first
// one.
func (f *Flights[K, V]) removeLocked(g *group[K, V], p *Part[K, V]) {
	before := g.joined()
	g.members.Remove(p.place)
	if first := g.members.Front(); first != nil {
		g.caller = first.Value.(*Part[K, V]).caller
	}
	g.ownerless = g.ownerless || p.Runs
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
		return g.members.Len()
	}
	return max(g.members.Len()-1, 0)
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
		ticket := f.Gate.enter(g.turn, g, hasWaited)
		fl := g.flight
		fl.shard.mu.Lock()
		next := (*group[K, V])(nil)
		switch {
		case g.members.Len() == 0: // all have left, and taken it out of the flight
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
	f.countJoined(-g.joined())
	g.setLocked(stageFinished)
}
