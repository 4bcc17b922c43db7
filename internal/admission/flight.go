package admission

import "container/list"

// flight is the work of one key: a group that runs, and groups that wait, first come first served.
type flight[K comparable, V any] struct {
	shard   *flightShard[K, V] // its lock guards the flight and its groups
	key     K
	running *group[K, V]
	waiting list.List // of *group
}

// group is a piece of work and the callers that want its answer. No member leads it while it waits:
// the first one that is awake when the slot is granted runs it. So any member can withdraw without
// harm to the others.
type group[K comparable, V any] struct {
	flight    *flight[K, V]
	place     *list.Element // in flight.waiting
	turn      string        // the group's key at the gate
	caller    Caller        // has the limits there: the first member or, if none is left, the last
	alone     bool          // nobody may join
	members   list.List     // of *Part, in the order of arrival
	ownerless bool          // the caller that runs it no longer wants the answer, but others may

	ticket Ticket
	stage  stage
	wake   chan struct{} // closed when the stage changes; nil if nobody waits for that

	refusal   Refusal
	value     V
	err       error
	orphaned  bool          // it failed, and its own client was gone
	abandoned chan struct{} // closed when nobody wants the answer; nil before Abandoned is called
}

type stage int

const (
	stageBehind   stage = iota // equal work runs, or waits before it
	stageAsking                // a caller is asking the gate for a ticket, without the lock
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

// open returns the group that a caller may join, or nil. That is the running group, unless all its
// members have withdrawn, as it is then being stopped; or the last group that waits.
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

// countBehind changes the number of callers that wait until equal work is over, to run their own.
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

// removeLocked removes the part from the group. The group then has the limits of its first member.
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

// joined returns how many members want the answer of work that another caller runs.
func (g *group[K, V]) joined() int {
	if g.ownerless {
		return g.members.Len()
	}
	return max(g.members.Len()-1, 0)
}

// nextLocked returns the group that must ask for a ticket now, or nil. It drops an empty flight.
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

// ask gets a ticket for the group; if that is refused, for the next group, and so on. Work that has
// waited for equal work is not refused because the queue is full. If p is not nil, it learns the
// outcome.
func (f *Flights[K, V]) ask(g *group[K, V], hasWaited bool, p *Part[K, V]) {
	for g != nil {
		ticket := f.Gate.enter(g.turn, g, hasWaited)
		fl := g.flight
		fl.shard.mu.Lock()
		next := (*group[K, V])(nil)
		switch {
		case g.members.Len() == 0: // all have withdrawn, and removed it from the flight
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

// setLocked changes the stage of the group, and wakes those who wait for a change.
func (g *group[K, V]) setLocked(s stage) {
	g.stage = s
	if g.wake != nil {
		close(g.wake)
		g.wake = nil
	}
}

// overLocked finishes a group. Its members no longer count as joined.
func (f *Flights[K, V]) overLocked(g *group[K, V]) {
	f.countJoined(-g.joined())
	g.setLocked(stageFinished)
}
