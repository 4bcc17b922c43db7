package admission

import (
	"container/list"
	"time"
)

// flight is the work of one key: a group that is in front, and groups that wait behind it, first
// come first served.
type flight[K FlightKey, V any] struct {
	shard   *flightShard[K, V] // its lock guards the flight and its groups
	key     K
	hash    uint64
	front   *group[K, V] // nil only when the flight is over
	behind  list.List    // of *group
	touched bool         // others than the first caller may have a pointer to it
}

// group is a piece of work and the callers that want its answer. No member leads it while it waits:
// the first one that is awake when the slot is granted runs it. So any member can withdraw without
// harm to the others.
type group[K FlightKey, V any] struct {
	flight    *flight[K, V]
	place     *list.Element // in flight.behind; nil if it was in front from the beginning
	turn      *Key          // the group's key at the gate; the group holds it
	caller    Caller        // has the limits there: the first member or, if none is left, the last
	alone     bool          // nobody may join
	members   members[K, V]
	ownerless bool // the caller that runs it no longer wants the answer, but others may

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
	stageBehind   stage = iota // another group is in front of it
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

// open makes the group that of its first member.
func (g *group[K, V]) open(first *Part[K, V], turn *Key, sharing Sharing) {
	turn.hold()
	g.turn, g.caller, g.alone = turn, first.caller, sharing == Alone
}

// joinable returns the group that a caller may join, or nil. That is the running group, unless all
// its members have withdrawn, as it is then being stopped; or the last group that waits.
func (fl *flight[K, V]) joinable(sharing Sharing) *group[K, V] {
	front := fl.front
	if front.stage == stageRunning && sharing == JoinRunning && !front.alone && front.members.n > 0 {
		return front
	}
	last := front
	if place := fl.behind.Back(); place != nil {
		last = place.Value.(*group[K, V])
	}
	if sharing == Alone || last.alone || last.stage == stageRunning {
		return nil
	}
	return last
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
	p.group = g
	g.members.add(p)
	f.countJoined(g.joined() - before)
}

// removeLocked removes the part from the group. The group then has the limits of its first member.
func (f *Flights[K, V]) removeLocked(g *group[K, V], p *Part[K, V]) {
	before := g.joined()
	g.members.remove(p)
	if first := g.members.first; first != nil {
		g.caller = first.caller
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
		return g.members.n
	}
	return max(g.members.n-1, 0)
}

// nextLocked puts the next group in front, and returns it: it must ask for a ticket now. If there
// is none, it drops the flight. The group that was in front must be over.
func (f *Flights[K, V]) nextLocked(fl *flight[K, V]) *group[K, V] {
	first := fl.behind.Front()
	if first == nil {
		fl.front = nil
		fl.shard.remove(fl)
		return nil
	}
	g := fl.behind.Remove(first).(*group[K, V])
	fl.front, g.stage = g, stageAsking
	f.countBehind(g, -1)
	return g
}

// ask gets a ticket for the group; if that is refused, for the next group, and so on. Work that has
// waited for equal work is not refused because the queue is full. If p is not nil, it learns the
// outcome.
func (f *Flights[K, V]) ask(g *group[K, V], hasWaited bool, p *Part[K, V]) {
	for g != nil {
		ticket := f.Gate.enter(g.turn, g, time.Time{}, hasWaited)
		fl := g.flight
		fl.shard.mu.Lock()
		var next, over *group[K, V]
		switch {
		case g.members.n == 0: // all have withdrawn, and removed it from the flight
			over = g
		case ticket.Refusal.Is():
			over, g.refusal = g, ticket.Refusal
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
		if over != nil {
			over.turn.Release()
		}
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

// members are the parts of a group in the order of their arrival. A part is itself the element of
// the list, so that work which nobody shares takes no memory.
type members[K FlightKey, V any] struct {
	first, last *Part[K, V]
	n           int
}

func (m *members[K, V]) add(p *Part[K, V]) {
	p.before, p.after = m.last, nil
	if m.last != nil {
		m.last.after = p
	} else {
		m.first = p
	}
	m.last = p
	m.n++
}

func (m *members[K, V]) remove(p *Part[K, V]) {
	if p.before != nil {
		p.before.after = p.after
	} else {
		m.first = p.after
	}
	if p.after != nil {
		p.after.before = p.before
	} else {
		m.last = p.before
	}
	p.before, p.after = nil, nil
	m.n--
}
