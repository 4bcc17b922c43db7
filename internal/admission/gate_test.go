package admission_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/admission"
)

// caller is a Caller whose limits can change.
type caller struct {
	limits atomic.Pointer[admission.KeyLimits]
	// asked is called after the limits were read, without a lock.
	asked func()
}

func newCaller(limits admission.KeyLimits) *caller {
	c := &caller{}
	c.limits.Store(&limits)
	return c
}

func (c *caller) KeyLimits(*admission.Gate) admission.KeyLimits {
	limits := *c.limits.Load()
	if c.asked != nil {
		c.asked()
	}
	return limits
}

// key returns the key of the name at the gate. It stays held.
func key(g *admission.Gate, name string) *admission.Key {
	keys, _ := keysOf.LoadOrStore(g, &admission.Keys{})
	return keys.(*admission.Keys).Hold(name)
}

// keysOf has the Keys of each gate.
var keysOf sync.Map

// anyone is a caller whose key has no limit.
var anyone = newCaller(admission.KeyLimits{})

func newGate(limits admission.GateLimits) *admission.Gate {
	g := &admission.Gate{}
	g.SetLimits(limits)
	return g
}

// enter returns the ticket of a caller that is let in at once.
func enter(t *testing.T, g *admission.Gate, name string, c *caller) *admission.Ticket {
	ticket := g.Enter(key(g, name), c)
	require.False(t, ticket.Waiting())
	require.Zero(t, ticket.Refusal)
	return &ticket
}

// queue returns the ticket of a caller that has to wait.
func queue(t *testing.T, g *admission.Gate, name string, c *caller) *admission.Ticket {
	ticket := g.Enter(key(g, name), c)
	require.True(t, ticket.Waiting())
	return &ticket
}

func assertEmpty(t *testing.T, g *admission.Gate) {
	running, waiting := g.Counts()
	assert.Zero(t, running, "inside")
	assert.Zero(t, waiting, "waiting")
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestTheZeroGateLimitsNothing(t *testing.T) {
	var g admission.Gate
	tickets := make([]*admission.Ticket, 100)
	for i := range tickets {
		tickets[i] = enter(t, &g, "karen", anyone)
		assert.Zero(t, tickets[i].Wait(nil))
		assert.Zero(t, tickets[i].Waited())
		assert.Nil(t, tickets[i].Ready())
	}
	running, _ := g.Counts()
	assert.Equal(t, 100, running)
	for _, ticket := range tickets {
		ticket.Release()
		ticket.Release()
	}
	assertEmpty(t, &g)
}

func TestWithinAKeyItIsFirstComeFirstServed(t *testing.T) {
	g := newGate(admission.GateLimits{})
	karen := newCaller(admission.KeyLimits{Max: 1})
	tickets := []*admission.Ticket{enter(t, g, "karen", karen)}
	for range 5 {
		tickets = append(tickets, queue(t, g, "karen", karen))
	}
	enter(t, g, "bob", newCaller(admission.KeyLimits{Max: 1})).Release()
	for i, ticket := range tickets {
		for _, later := range tickets[i+1:] {
			require.True(t, later.Waiting())
		}
		require.False(t, ticket.Waiting())
		ticket.Release()
	}
	assertEmpty(t, g)
}

func TestKeysTakeTurns(t *testing.T) {
	g := newGate(admission.GateLimits{Max: 1})
	held := enter(t, g, "karen", anyone)
	var want, order []string
	tickets := map[*admission.Ticket]string{}
	for _, key := range []string{"karen", "karen", "karen", "bob", "bob", "eve"} {
		tickets[queue(t, g, key, anyone)] = key
	}
	for len(tickets) > 0 {
		held.Release()
		for ticket, key := range tickets {
			if !ticket.Waiting() {
				order = append(order, key)
				delete(tickets, ticket)
				held = ticket
			}
		}
	}
	want = []string{"karen", "bob", "eve", "karen", "bob", "karen"}
	assert.Equal(t, want, order)
	held.Release()
	assertEmpty(t, g)
}

// A key at its own limit wastes no slot of all keys, and makes no other key wait.
func TestAKeyAtItsLimitIsPassedOver(t *testing.T) {
	g := newGate(admission.GateLimits{Max: 2})
	karen := newCaller(admission.KeyLimits{Max: 1})
	first := enter(t, g, "karen", karen)
	second := queue(t, g, "karen", karen)
	bob := enter(t, g, "bob", anyone)
	eve := queue(t, g, "eve", anyone)
	bob.Release()
	assert.False(t, eve.Waiting())
	assert.True(t, second.Waiting())
	first.Release()
	assert.False(t, second.Waiting())
	second.Release()
	eve.Release()
	assertEmpty(t, g)
}

func TestWhatAGateRefusesWith(t *testing.T) {
	type refusal = admission.Refusal
	all := admission.GateLimits{Max: 1, MaxWaiting: 2, Timeout: time.Minute}
	for name, test := range map[string]struct {
		all   admission.GateLimits
		key   admission.KeyLimits
		gone  <-chan struct{}
		then  func(g *admission.Gate) // called when the caller waits
		want  refusal
		after time.Duration
	}{
		"the limit of the key": {
			all:  admission.GateLimits{Max: 5, Timeout: time.Minute},
			key:  admission.KeyLimits{Max: 1},
			want: refusal{Reason: admission.KeyFull, Limit: 1, TimedOut: true}, after: time.Minute,
		},
		"the limit of all": {
			all: all, key: admission.KeyLimits{Max: 7},
			want: refusal{Reason: admission.AllFull, Limit: 1, TimedOut: true}, after: time.Minute,
		},
		"both, and the nearer one is named": {
			all: all, key: admission.KeyLimits{Max: 1},
			want: refusal{Reason: admission.KeyFull, Limit: 1, TimedOut: true}, after: time.Minute,
		},
		"a queue of all that is full": {
			all:  admission.GateLimits{Max: 1, MaxWaiting: 1, Timeout: time.Minute},
			want: refusal{Reason: admission.AllQueue, Limit: 1},
		},
		"a queue of the key that is full": {
			all: all, key: admission.KeyLimits{MaxWaiting: 1},
			want: refusal{Reason: admission.KeyQueue, Limit: 1},
		},
		"closed while it waits": {
			all: all, then: func(g *admission.Gate) { g.Close() },
			want: refusal{Reason: admission.Closed}, after: time.Second,
		},
		"a client that is gone": {
			all: all, gone: closed(), want: refusal{Reason: admission.Gone},
		},
		"a timeout that goes down": {
			all: all, then: func(g *admission.Gate) {
				g.SetLimits(admission.GateLimits{Max: 1, Timeout: 10 * time.Second})
			},
			want:  refusal{Reason: admission.AllFull, Limit: 1, TimedOut: true},
			after: 10 * time.Second,
		},
		"a timeout that goes up, from when the caller came": {
			all: all, then: func(g *admission.Gate) {
				g.SetLimits(admission.GateLimits{Max: 1, Timeout: time.Hour})
			},
			want: refusal{Reason: admission.AllFull, Limit: 1, TimedOut: true}, after: time.Hour,
		},
		"a timeout that is over when it goes down": {
			all: all, then: func(g *admission.Gate) {
				g.SetLimits(admission.GateLimits{Max: 1, Timeout: time.Millisecond})
			},
			want:  refusal{Reason: admission.AllFull, Limit: 1, TimedOut: true},
			after: time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(test.all)
				c := newCaller(test.key)
				held := enter(t, g, "karen", c)
				first := queue(t, g, "karen", c)
				ticket := g.Enter(key(g, "karen"), c)
				if test.then != nil {
					time.AfterFunc(time.Second, func() { test.then(g) })
				}
				start := time.Now()
				assert.Equal(t, test.want, ticket.Wait(test.gone))
				assert.Equal(t, test.after, time.Since(start))
				assert.Equal(t, test.want, ticket.Refusal)
				assert.Equal(t, test.want, ticket.Wait(nil), "again")
				assert.False(t, ticket.Waiting(), "a refused caller does not wait")
				_, waiting := g.Counts()
				assert.Equal(t, 1, waiting)
				first.Release()
				held.Release()
				ticket.Release()
				assertEmpty(t, g)
			})
		})
	}
}

func TestWhatAClosedGateRefusesWith(t *testing.T) {
	g := newGate(admission.GateLimits{})
	held := enter(t, g, "karen", anyone)
	g.Close()
	g.Close()
	ticket := g.Enter(key(g, "karen"), anyone)
	assert.Equal(t, admission.Refusal{Reason: admission.Closed}, ticket.Refusal)
	ticket = g.Enter(key(g, "karen"), newCaller(admission.KeyLimits{Exempt: true}))
	assert.Equal(t, admission.Refusal{Reason: admission.Closed}, ticket.Refusal)
	ticket = g.EnterAnyway(key(g, "karen"))
	assert.Equal(t, admission.Refusal{Reason: admission.Closed}, ticket.Wait(nil))
	held.Release()
	assertEmpty(t, g)
}

// A caller that waits when the gate is closed does not get in, even if a slot is released before it
// wakes up.
func TestNobodyIsGrantedASlotAfterClose(t *testing.T) {
	g := newGate(admission.GateLimits{Max: 1})
	held := enter(t, g, "karen", anyone)
	waiting := queue(t, g, "karen", anyone)
	exempt := newCaller(admission.KeyLimits{})
	becomesExempt := queue(t, g, "bob", exempt)
	g.Close()
	held.Release()
	exempt.limits.Store(&admission.KeyLimits{Exempt: true})
	g.SetLimits(admission.GateLimits{})
	assert.True(t, waiting.Waiting())
	assert.True(t, becomesExempt.Waiting())
	assert.Equal(t, admission.Closed, waiting.Wait(nil).Reason)
	becomesExempt.Release()
	assertEmpty(t, g)
}

// A client that is gone at the very moment of its turn does not keep the slot.
func TestASlotThatIsGrantedToAClientThatIsGoneComesBack(t *testing.T) {
	g := newGate(admission.GateLimits{Max: 1})
	held := enter(t, g, "karen", anyone)
	ticket := queue(t, g, "karen", anyone)
	next := queue(t, g, "karen", anyone)
	held.Release()
	assert.Equal(t, admission.Refusal{Reason: admission.Gone}, ticket.Wait(closed()))
	assert.False(t, next.Waiting())
	next.Release()
	assertEmpty(t, g)
}

// The gate is closed and the slot is released just when the time is up.
func TestAGateThatIsClosedAtTheDeadline(t *testing.T) {
	for range 50 { // whichever the caller sees first
		synctest.Test(t, func(t *testing.T) {
			g := newGate(admission.GateLimits{Max: 1, Timeout: time.Minute})
			held := enter(t, g, "karen", anyone)
			ticket := queue(t, g, "karen", anyone)
			time.Sleep(2 * time.Minute)
			g.Close()
			held.Release()
			assert.Equal(t, admission.Refusal{Reason: admission.Closed}, ticket.Wait(nil))
			assertEmpty(t, g)
		})
	}
}

// The gate is closed when the caller has its slot, but does not know it yet.
func TestAGateThatIsClosedAfterTheTurn(t *testing.T) {
	for range 50 { // whichever the caller sees first
		g := newGate(admission.GateLimits{Max: 1})
		held := enter(t, g, "karen", anyone)
		ticket := queue(t, g, "karen", anyone)
		held.Release()
		g.Close()
		assert.Zero(t, ticket.Wait(nil))
		ticket.Release()
		assertEmpty(t, g)
	}
}

// The refusal names the limit of the first caller of the key, as that one keeps the others out.
func TestALimitOfTheFirstOfAKeyIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(admission.GateLimits{Max: 9, Timeout: time.Minute})
		low, high := newCaller(admission.KeyLimits{Max: 1}), newCaller(admission.KeyLimits{Max: 5})
		held := enter(t, g, "karen", low)
		first := queue(t, g, "karen", low)
		assert.Equal(t, admission.Refusal{
			Reason: admission.KeyFull, Limit: 1, TimedOut: true,
		}, queue(t, g, "karen", high).Wait(nil))
		first.Release()
		held.Release()
		assertEmpty(t, g)
	})
}

// A slot that is granted at the deadline is used.
func TestASlotAtTheDeadlineIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(admission.GateLimits{Max: 1, Timeout: time.Minute})
		held := enter(t, g, "karen", anyone)
		ticket := queue(t, g, "karen", anyone)
		time.Sleep(2 * time.Minute)
		held.Release()
		assert.Zero(t, ticket.Wait(nil))
		assert.Equal(t, 2*time.Minute, ticket.Waited())
		ticket.Release()
		assertEmpty(t, g)
	})
}

func TestWaitedStandsStillWhenTheWaitIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(admission.GateLimits{Max: 1, Timeout: time.Minute})
		held := enter(t, g, "karen", anyone)
		granted, refused := queue(t, g, "karen", anyone), queue(t, g, "karen", anyone)
		time.Sleep(time.Second)
		assert.Equal(t, time.Second, granted.Waited())
		held.Release()
		refused.Wait(nil)
		time.Sleep(time.Hour)
		assert.Equal(t, time.Second, granted.Waited())
		assert.Equal(t, time.Minute, refused.Waited())
		granted.Release()
		assertEmpty(t, g)
	})
}

func TestTicketsThatHoldNothing(t *testing.T) {
	var ticket admission.Ticket
	ticket.Release()
	assert.False(t, ticket.Waiting())
	assert.Zero(t, ticket.Wait(nil))
	assert.Zero(t, ticket.Overdue())

	g := newGate(admission.GateLimits{Max: 1})
	held := enter(t, g, "karen", anyone)
	left := queue(t, g, "karen", anyone)
	left.Release()
	assert.False(t, left.Waiting(), "it has left the queue")
	assert.Zero(t, left.Wait(nil), "and waits for nothing")
	held.Release()
	assertEmpty(t, g)
}

func TestExemptCallersAreLetInAtOnce(t *testing.T) {
	g := newGate(admission.GateLimits{Max: 1, MaxWaiting: 1})
	held, waiting := enter(t, g, "karen", anyone), queue(t, g, "karen", anyone)
	exempt := enter(t, g, "karen", newCaller(admission.KeyLimits{Max: 1, Exempt: true}))
	anyway := g.EnterAnyway(key(g, "karen"))
	assert.False(t, anyway.Waiting())
	held.Release()
	exempt.Release()
	assert.True(t, waiting.Waiting(), "one is still inside")
	anyway.Release()
	assert.False(t, waiting.Waiting())
	waiting.Release()
	assertEmpty(t, g)
}

func TestOtherLimits(t *testing.T) {
	g := newGate(admission.GateLimits{Max: 1})
	karen, bob := newCaller(admission.KeyLimits{Max: 1}), newCaller(admission.KeyLimits{Max: 1})
	held := enter(t, g, "karen", karen)
	karens, bobs := queue(t, g, "karen", karen), queue(t, g, "bob", bob)

	g.SetLimits(admission.GateLimits{Max: 2})
	assert.True(t, karens.Waiting(), "by its own limit")
	assert.False(t, bobs.Waiting())
	karen.limits.Store(&admission.KeyLimits{Max: 2})
	g.SetLimits(admission.GateLimits{})
	assert.False(t, karens.Waiting())

	// Callers inside stay when a limit is lowered. Nobody new is let in until there are fewer.
	karen.limits.Store(&admission.KeyLimits{Max: 1})
	g.SetLimits(admission.GateLimits{Max: 2})
	last := queue(t, g, "karen", karen)
	held.Release()
	assert.True(t, last.Waiting())
	karens.Release()
	assert.False(t, last.Waiting())

	exempt := queue(t, g, "karen", karen)
	karen.limits.Store(&admission.KeyLimits{Max: 1, Exempt: true})
	g.SetLimits(admission.GateLimits{Max: 1})
	assert.False(t, exempt.Waiting(), "it is exempt now")
	exempt.Release()
	last.Release()
	bobs.Release()
	assertEmpty(t, g)
}

// The limit of a key is lowered while it is its turn, and then raised again.
func TestALimitThatGoesDownWhileItIsTheKeysTurn(t *testing.T) {
	g := newGate(admission.GateLimits{Max: 2})
	karen := newCaller(admission.KeyLimits{Max: 2})
	first, bob := enter(t, g, "karen", karen), enter(t, g, "bob", anyone)
	second, eve := queue(t, g, "karen", karen), queue(t, g, "eve", anyone)
	karen.limits.Store(&admission.KeyLimits{Max: 1})
	g.SetLimits(admission.GateLimits{Max: 2})
	bob.Release()
	assert.True(t, second.Waiting())
	assert.False(t, eve.Waiting())
	first.Release()
	assert.False(t, second.Waiting())
	second.Release()
	eve.Release()
	assertEmpty(t, g)
}

// The first caller of a key has a lower limit than the second, and gives up.
func TestTheNextOfAKeyIsLetInByItsOwnLimit(t *testing.T) {
	g := newGate(admission.GateLimits{})
	low, high := newCaller(admission.KeyLimits{Max: 1}), newCaller(admission.KeyLimits{Max: 2})
	held := enter(t, g, "karen", low)
	first, second := queue(t, g, "karen", low), queue(t, g, "karen", high)
	first.Release()
	assert.False(t, second.Waiting())
	second.Release()
	held.Release()
	assertEmpty(t, g)
}

// A caller reads its limits just before they change, and asks for a slot just after.
func TestALimitThatChangesWhileACallerComes(t *testing.T) {
	g := newGate(admission.GateLimits{})
	karen := newCaller(admission.KeyLimits{Max: 1})
	held := enter(t, g, "karen", karen)
	karen.asked = func() {
		karen.asked = nil
		karen.limits.Store(&admission.KeyLimits{Max: 2})
		g.SetLimits(admission.GateLimits{})
	}
	ticket := g.Enter(key(g, "karen"), karen)
	assert.False(t, ticket.Waiting(), "there is room by the limit of now")
	ticket.Release()
	held.Release()
	assertEmpty(t, g)
}

// A caller gives up while the limits change, which would have made it exempt.
func TestACallerThatLeavesWhileLimitsChange(t *testing.T) {
	g := newGate(admission.GateLimits{Max: 1})
	held := enter(t, g, "karen", anyone)
	bob := newCaller(admission.KeyLimits{})
	waiting := queue(t, g, "bob", bob)
	bob.limits.Store(&admission.KeyLimits{Exempt: true})
	bob.asked = waiting.Release
	g.SetLimits(admission.GateLimits{Max: 1})
	running, _ := g.Counts()
	assert.Equal(t, 1, running)
	held.Release()
	assertEmpty(t, g)
}

// Nobody jumps the queue while the limits change.
func TestACallerThatComesWhileLimitsChangeTakesItsTurn(t *testing.T) {
	g := newGate(admission.GateLimits{Max: 1})
	held := enter(t, g, "karen", anyone)
	bob := newCaller(admission.KeyLimits{})
	waiting := queue(t, g, "bob", bob)
	var newcomer admission.Ticket
	bob.asked = func() {
		bob.asked = nil
		newcomer = g.Enter(key(g, "eve"), anyone)
	}
	g.SetLimits(admission.GateLimits{Max: 2})
	assert.False(t, waiting.Waiting())
	assert.True(t, newcomer.Waiting())
	newcomer.Release()
	waiting.Release()
	held.Release()
	assertEmpty(t, g)
}

// If two changes overlap, the later one counts.
func TestTwoChangesOfLimitsAtOnce(t *testing.T) {
	g := newGate(admission.GateLimits{Max: 1})
	held := enter(t, g, "karen", anyone)
	bob := newCaller(admission.KeyLimits{})
	waiting := queue(t, g, "bob", bob)
	second := queue(t, g, "bob", newCaller(admission.KeyLimits{}))
	bob.asked = func() {
		bob.asked = nil
		g.SetLimits(admission.GateLimits{Max: 2})
	}
	g.SetLimits(admission.GateLimits{Max: 9})
	assert.False(t, waiting.Waiting())
	assert.True(t, second.Waiting())
	held.Release()
	assert.False(t, second.Waiting())
	second.Release()
	waiting.Release()
	assertEmpty(t, g)
}

// A caller that did not wait for its slot learns afterwards whether it would have had one in time.
func TestOverdue(t *testing.T) {
	type refusal = admission.Refusal
	for name, test := range map[string]struct {
		all  admission.GateLimits
		key  admission.KeyLimits
		runs time.Duration // the command that holds the slot
		then func(g *admission.Gate)
		want refusal
	}{
		"in time": {
			all: admission.GateLimits{Max: 1, Timeout: time.Minute}, runs: time.Second,
		},
		"no timeout": {all: admission.GateLimits{Max: 1}, runs: time.Hour},
		"the key's limit, late": {
			all: admission.GateLimits{Max: 9, Timeout: time.Second}, key: admission.KeyLimits{Max: 1},
			runs: time.Minute, want: refusal{Reason: admission.KeyFull, Limit: 1, TimedOut: true},
		},
		"the key's limit, never": {
			all: admission.GateLimits{Max: 9, Timeout: time.Second}, key: admission.KeyLimits{Max: 1},
			runs: time.Hour, want: refusal{Reason: admission.KeyFull, Limit: 1, TimedOut: true},
		},
		"the limit of all, late, below the key's": {
			all: admission.GateLimits{Max: 1, Timeout: time.Second}, key: admission.KeyLimits{Max: 2},
			runs: time.Minute, want: refusal{Reason: admission.AllFull, Limit: 1, TimedOut: true},
		},
		"no limit any more": {
			all: admission.GateLimits{Max: 1, Timeout: time.Second}, runs: time.Hour,
			then: func(g *admission.Gate) { g.SetLimits(admission.GateLimits{Timeout: time.Second}) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(test.all)
				c := newCaller(test.key)
				held, ticket := enter(t, g, "karen", c), queue(t, g, "karen", c)
				time.AfterFunc(test.runs, held.Release)
				time.Sleep(10 * time.Minute)
				if test.then != nil {
					test.then(g)
				}
				assert.Equal(t, test.want, ticket.Overdue())
				ticket.Release()
				assert.Zero(t, ticket.Overdue())
				time.Sleep(time.Hour)
				assertEmpty(t, g)
			})
		})
	}
}

// Callers arrive, wait, give up and are refused in several goroutines while the limits change.
func TestAGateUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, callers, most = 5, 40, 7
		g := newGate(admission.GateLimits{Max: 3, Timeout: 20 * time.Millisecond})
		c := newCaller(admission.KeyLimits{Max: 2, MaxWaiting: 10})
		var inside atomic.Int32
		var all sync.WaitGroup
		for i := range keys * callers {
			all.Go(func() {
				for n := range 20 {
					gone := make(chan struct{})
					if (i+n)%5 == 0 {
						time.AfterFunc(time.Duration(n)*time.Millisecond, func() { close(gone) })
					}
					ticket := g.Enter(key(g, string(rune('a'+i%keys))), c)
					if ticket.Wait(gone); !ticket.Refusal.Is() {
						assert.LessOrEqual(t, inside.Add(1), int32(most))
						time.Sleep(time.Duration(i%3) * time.Millisecond)
						inside.Add(-1)
					}
					ticket.Release()
				}
			})
		}
		all.Go(func() {
			for n := range 100 {
				time.Sleep(time.Millisecond)
				c.limits.Store(&admission.KeyLimits{Max: 1 + n%3, MaxWaiting: n % 20})
				g.SetLimits(admission.GateLimits{Max: 1 + n%most, Timeout: 20 * time.Millisecond})
			}
			g.Close()
		})
		all.Wait()
		assertEmpty(t, g)
	})
}

// A caller that has waited elsewhere waits no longer than until its own time.
func TestEnterUntil(t *testing.T) {
	for name, test := range map[string]struct {
		timeout, latest, want time.Duration // zero: none
	}{
		"the caller's time is up first":   {time.Minute, time.Second, time.Second},
		"the gate's time is up first":     {time.Second, time.Minute, time.Second},
		"only the caller has a time":      {0, time.Second, time.Second},
		"the caller's time is over":       {time.Minute, -time.Second, 0},
		"the gate gets a timeout":         {0, time.Hour, 2 * time.Second},
		"the gate's timeout gets shorter": {time.Minute, time.Hour, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limits := admission.GateLimits{Max: 1, Timeout: test.timeout}
				g := newGate(limits)
				latest := time.Now().Add(test.latest)
				karen := key(g, "karen")
				held := g.EnterUntil(karen, anyone, latest)
				require.False(t, held.Waiting(), "there is room")
				ticket := g.EnterUntil(karen, anyone, latest)
				shadow := g.EnterUntil(karen, anyone, latest)
				if test.latest == time.Hour {
					limits.Timeout = 2 * time.Second
					g.SetLimits(limits)
				}
				start := time.Now()
				full := refused{Reason: admission.AllFull, Limit: 1, TimedOut: true}
				if test.want > 0 {
					assert.Zero(t, shadow.Overdue())
				}
				assert.Equal(t, full, ticket.Wait(nil))
				assert.Equal(t, test.want, time.Since(start))
				assert.Equal(t, full, shadow.Overdue())
				shadow.Release()
				held.Release()
				assertEmpty(t, g)
			})
		})
	}
}
