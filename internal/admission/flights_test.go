package admission_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/admission"
)

type (
	flights = admission.Flights[work, int]
	part    = admission.Part[work, int]
)

// work is the key of work. The hash is its first letter.
type work string

func (w work) Hash() uint64 { return uint64(w[0]) }

var (
	errBroken = errors.New("broken")
	errWork   = errors.New("work failed")
)

func newFlights(limits admission.GateLimits) *flights {
	f := &flights{Gate: newGate(limits), Broken: errBroken}
	f.SetTimeout(limits.Timeout)
	return f
}

// join returns the part of a caller.
func join(f *flights, key work, turn string, c *caller, sharing admission.Sharing) *part {
	p := &part{}
	joinAs(p, f, key, turn, c, sharing)
	return p
}

// joinAs makes the part that of the caller. Only the flights hold its key at the gate.
func joinAs(
	p *part, f *flights, key work, turn string, c *caller, sharing admission.Sharing,
) {
	keys, _ := turnsOf.LoadOrStore(f, &admission.Keys{})
	held := keys.(*admission.Keys).Hold(turn)
	defer held.Release()
	p.Join(f, key, held, c, sharing, time.Time{})
}

// turnsOf has the keys that the flights hold at their gate.
var turnsOf sync.Map

// runs returns the part of a caller that must run the work at once.
func runs(t *testing.T, f *flights, key work, sharing admission.Sharing) *part {
	p := join(f, key, "karen", anyone, sharing)
	require.False(t, p.Waiting())
	require.True(t, p.Runs)
	return p
}

// joins returns the part of a caller that has to wait.
func joins(t *testing.T, f *flights, key work, sharing admission.Sharing) *part {
	p := join(f, key, "karen", anyone, sharing)
	require.True(t, p.Waiting())
	require.False(t, p.Runs)
	return p
}

func finds42() (int, bool, error) { return 42, false, nil }

// answer waits for the part's answer. The part must not be the one that runs the work.
func answer(t *testing.T, p *part) int {
	require.Zero(t, p.Wait(nil, nil))
	require.False(t, p.Runs)
	value, orphaned, err := p.Answer()
	require.NoError(t, err)
	require.False(t, orphaned)
	return value
}

func assertNoFlights(t *testing.T, f *flights) {
	joined, behind := f.Counts()
	assert.Zero(t, joined, "joined")
	assert.Zero(t, behind, "behind")
	assert.Zero(t, f.Entries(), "keys")
	if turns, ok := turnsOf.Load(f); ok {
		assert.Zero(t, turns.(*admission.Keys).Len(), "keys at the gate")
	}
	assertEmpty(t, f.Gate)
}

func assertCounts(t *testing.T, f *flights, joined, behind int) {
	t.Helper()
	j, b := f.Counts()
	assert.Equal(t, []int{joined, behind}, []int{j, b})
}

func TestWhoRunsAloneRunsAlone(t *testing.T) {
	f := newFlights(admission.GateLimits{})
	first := runs(t, f, "a", admission.Alone)
	assert.Zero(t, first.Wait(nil, nil))
	second, third := joins(t, f, "a", admission.Alone), joins(t, f, "a", admission.Alone)
	other := runs(t, f, "b", admission.Alone)
	assertCounts(t, f, 0, 2)
	first.Run(finds42)
	value, _, err := first.Answer()
	assert.NoError(t, err)
	assert.Equal(t, 42, value)
	assertCounts(t, f, 0, 1)
	for _, p := range []*part{second, third} {
		assert.Zero(t, p.Wait(nil, nil))
		assert.True(t, p.Runs)
		p.Run(finds42)
	}
	other.Run(finds42)
	assertNoFlights(t, f)
}

// Work that is not equal never gets the other's answer, even if the hashes are equal.
func TestDifferentWorkWithTheSameHash(t *testing.T) {
	f := newFlights(admission.GateLimits{})
	first := runs(t, f, "apple", admission.JoinRunning)
	other := join(f, "acorn", "karen", anyone, admission.JoinRunning)
	assert.False(t, other.Waiting())
	assert.Equal(t, refused{Reason: admission.Exempt}, other.Refusal, "the caller runs it by itself")
	first.Run(finds42)
	runs(t, f, "acorn", admission.JoinRunning).Run(finds42)
	assertNoFlights(t, f)
}

// A part can be used again. Others who still have the work of the first time are not disturbed.
func TestAPartIsUsedAgain(t *testing.T) {
	f := newFlights(admission.GateLimits{})
	first := runs(t, f, "a", admission.JoinRunning)
	second := joins(t, f, "a", admission.JoinRunning)
	first.Run(finds42)
	assert.True(t, first.Shared)
	first.Answer()
	turn := key(f.Gate, "karen")
	for range 3 {
		first.Join(f, "b", turn, anyone, admission.JoinRunning, time.Time{})
		require.True(t, first.Runs)
		first.Run(func() (int, bool, error) { return 43, false, nil })
		assert.False(t, first.Shared)
		value, _, _ := first.Answer()
		assert.Equal(t, 43, value)
	}
	first.Join(f, "b", turn, anyone, admission.JoinRunning, time.Time{})
	assert.Panics(t, func() { first.Run(func() (int, bool, error) { panic("work") }) })
	first.Join(f, "b", turn, anyone, admission.JoinRunning, time.Time{})
	assert.True(t, first.Runs, "after a panic, too")
	first.Run(finds42)
	assert.Equal(t, 42, answer(t, second))
	assertNoFlights(t, f)
}

// Running work may already have looked at something that changed before the caller asked.
func TestWhoJoinsWaitingWorkGetsNoAnswerFromBefore(t *testing.T) {
	f := newFlights(admission.GateLimits{})
	first := runs(t, f, "a", admission.JoinWaiting)
	second, third := joins(t, f, "a", admission.JoinWaiting), joins(t, f, "a", admission.JoinWaiting)
	assertCounts(t, f, 1, 0)
	first.Run(finds42)
	require.Zero(t, second.Wait(nil, nil))
	require.True(t, second.Runs)
	fourth := joins(t, f, "a", admission.JoinWaiting)
	second.Run(func() (int, bool, error) { return 43, false, nil })
	assert.Equal(t, 43, answer(t, third))
	require.Zero(t, fourth.Wait(nil, nil))
	assert.True(t, fourth.Runs)
	fourth.Run(finds42)
	assertNoFlights(t, f)
}

func TestWhoJoinsRunningWorkGetsItsAnswer(t *testing.T) {
	f := newFlights(admission.GateLimits{})
	first := runs(t, f, "a", admission.JoinRunning)
	second := joins(t, f, "a", admission.JoinRunning)
	cautious := joins(t, f, "a", admission.JoinWaiting)
	assertCounts(t, f, 1, 0)
	first.Run(finds42)
	assert.Equal(t, 42, answer(t, second))
	require.Zero(t, cautious.Wait(nil, nil))
	assert.True(t, cautious.Runs)
	cautious.Run(finds42)

	alone := runs(t, f, "a", admission.Alone)
	third := joins(t, f, "a", admission.JoinRunning)
	alone.Run(finds42)
	require.Zero(t, third.Wait(nil, nil))
	assert.True(t, third.Runs, "nobody joins work that is to run alone")
	third.Run(finds42)
	assertNoFlights(t, f)
}

// All wait for a slot. The first one that is awake runs the work for all.
func TestOneOfThoseWhoWaitRunsTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights(admission.GateLimits{Max: 1})
		held := enter(t, f.Gate, "bob", anyone)
		var ran, answered, told atomic.Int32
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				p := join(f, "a", "karen", anyone, admission.JoinWaiting)
				if assert.Zero(t, p.Wait(nil, func() { told.Add(1) })); p.Runs {
					ran.Add(1)
					p.Run(func() (int, bool, error) {
						time.Sleep(time.Second)
						return 42, false, nil
					})
				}
				if value, _, err := p.Answer(); err == nil && value == 42 {
					answered.Add(1)
				}
				assert.GreaterOrEqual(t, p.Waited, time.Second)
			})
		}
		synctest.Wait()
		assertCounts(t, f, 99, 0)
		_, waiting := f.Gate.Counts()
		assert.Equal(t, 1, waiting, "one place in the queue for all")
		time.Sleep(time.Second)
		held.Release()
		all.Wait()
		assert.EqualValues(t, 1, ran.Load())
		assert.EqualValues(t, 100, answered.Load())
		assert.EqualValues(t, 99, told.Load(), "all others hear that it has begun")
		assertNoFlights(t, f)
	})
}

func TestWhatFlightsRefuseWith(t *testing.T) {
	second := admission.GateLimits{Max: 1, Timeout: time.Minute}
	full := admission.GateLimits{Max: 1, MaxWaiting: 1, Timeout: time.Minute}
	for name, test := range map[string]struct {
		limits admission.GateLimits
		runs   bool // equal work runs, otherwise other work
		gone   <-chan struct{}
		then   func(f *flights)
		want   refused
		after  time.Duration
	}{
		"the gate's limit": {
			limits: second, after: time.Minute,
			want: refused{Reason: admission.AllFull, Limit: 1, TimedOut: true},
		},
		"equal work": {
			limits: second, runs: true, after: time.Minute,
			want: refused{Reason: admission.EqualRuns, Timeout: time.Minute, TimedOut: true},
		},
		"a shorter timeout": {
			limits: second, runs: true, then: func(f *flights) { f.SetTimeout(10 * time.Second) },
			want:  refused{Reason: admission.EqualRuns, Timeout: 10 * time.Second, TimedOut: true},
			after: 10 * time.Second,
		},
		"a longer timeout": {
			limits: second, runs: true, then: func(f *flights) { f.SetTimeout(time.Hour) },
			want: refused{Reason: admission.EqualRuns, Timeout: time.Hour, TimedOut: true}, after: time.Hour,
		},
		"a full queue": {
			limits: full, want: refused{Reason: admission.AllQueue, Limit: 1},
		},
		"gone": {
			limits: second, gone: closed(), want: refused{Reason: admission.Gone},
		},
		"gone while equal work runs": {
			limits: second, runs: true, gone: closed(), want: refused{Reason: admission.Gone},
		},
		"closed": {
			limits: second, want: refused{Reason: admission.Closed}, after: time.Second,
			then: func(f *flights) { f.Gate.Close(); f.Close() },
		},
		"closed while equal work runs": {
			limits: second, runs: true, want: refused{Reason: admission.Closed}, after: time.Second,
			then: func(f *flights) { f.Gate.Close(); f.Close() },
		},
	} {
		for _, sharing := range []admission.Sharing{admission.Alone, admission.JoinWaiting} {
			t.Run(fmt.Sprint(name, sharing), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFlights(test.limits)
					var running *part
					var held *admission.Ticket
					if test.runs {
						running = runs(t, f, "a", sharing)
					} else {
						held = enter(t, f.Gate, "bob", anyone)
					}
					if test.limits.MaxWaiting > 0 {
						ticket := queue(t, f.Gate, "bob", anyone)
						defer ticket.Release()
					}
					if test.then != nil {
						time.AfterFunc(time.Second, func() { test.then(f) })
					}
					start := time.Now()
					p := join(f, "a", "karen", anyone, sharing)
					assert.Equal(t, test.want, p.Wait(test.gone, func() { assert.Fail(t, "it begins") }))
					assert.Equal(t, test.after, time.Since(start))
					assert.Equal(t, test.after, p.Waited)
					assert.Equal(t, test.want, p.Refusal)
					assert.False(t, p.Waiting())
					assert.False(t, p.Runs)
					assertCounts(t, f, 0, 0)
					if test.runs {
						running.Run(finds42)
					} else {
						held.Release()
					}
					assert.Zero(t, f.Entries())
				})
			})
		}
	}
}

// A caller joins, and Close is called before it waits.
func TestFlightsThatCloseBeforeACallerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights(admission.GateLimits{Timeout: time.Minute})
		running := runs(t, f, "a", admission.Alone)
		behind := joins(t, f, "a", admission.Alone)
		f.Gate.Close()
		f.Close()
		assert.Equal(t, refused{Reason: admission.Closed}, behind.Wait(nil, nil))
		assert.Zero(t, behind.Waited)
		running.Run(finds42)
		assertNoFlights(t, f)
	})
}

// After Close nobody waits for work, even if it still runs.
func TestWhoComesAfterCloseIsRefused(t *testing.T) {
	for sharing := admission.Alone; sharing <= admission.JoinRunning; sharing++ {
		f := newFlights(admission.GateLimits{Timeout: time.Minute})
		running := runs(t, f, "a", sharing)
		f.Gate.Close()
		f.Close()
		for _, key := range []work{"a", "b"} {
			p := join(f, key, "karen", anyone, sharing)
			assert.False(t, p.Waiting())
			assert.Equal(t, refused{Reason: admission.Closed}, p.Refusal)
			assert.Equal(t, refused{Reason: admission.Closed}, p.Wait(nil, nil))
			p.Withdraw()
		}
		running.Run(finds42)
		assertNoFlights(t, f)
	}
}

// A caller that becomes exempt runs its work by itself.
func TestACallerThatBecomesExempt(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second} { // before it waits, and while it does
		synctest.Test(t, func(t *testing.T) {
			f := newFlights(admission.GateLimits{})
			running := runs(t, f, "a", admission.JoinWaiting)
			c := newCaller(admission.KeyLimits{})
			p := join(f, "a", "karen", c, admission.JoinWaiting)
			change := func() {
				c.limits.Store(&admission.KeyLimits{Exempt: true})
				f.Gate.SetLimits(admission.GateLimits{})
				f.SetTimeout(0)
			}
			if after > 0 {
				time.AfterFunc(after, change)
			} else {
				change()
			}
			assert.Equal(t, refused{Reason: admission.Exempt}, p.Wait(nil, nil))
			assert.Equal(t, after, p.Waited)
			running.Run(finds42)
			assertNoFlights(t, f)
		})
	}
}

// A caller whose work already runs waits for the answer, even if it becomes exempt.
func TestACallerThatBecomesExemptWhenItsWorkRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights(admission.GateLimits{})
		running := runs(t, f, "a", admission.JoinRunning)
		c := newCaller(admission.KeyLimits{})
		p := join(f, "a", "karen", c, admission.JoinRunning)
		c.limits.Store(&admission.KeyLimits{Exempt: true})
		f.SetTimeout(0)
		time.AfterFunc(time.Second, func() { running.Run(finds42) })
		assert.Equal(t, 42, answer(t, p))
		assertNoFlights(t, f)
	})
}

// All members withdraw while a slot for them is being asked for.
func TestAGroupThatAllLeaveWhileItGetsItsSlot(t *testing.T) {
	f := newFlights(admission.GateLimits{})
	running := runs(t, f, "a", admission.Alone)
	c := newCaller(admission.KeyLimits{})
	behind := join(f, "a", "karen", c, admission.Alone)
	c.asked = func() { assert.Equal(t, admission.Gone, behind.Wait(closed(), nil).Reason) }
	running.Run(finds42)
	assertNoFlights(t, f)
}

// Work that waits for equal work keeps its place, even if the queue is full by then.
func TestWhoHasWaitedForEqualWorkIsNotRefusedByAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights(admission.GateLimits{Max: 1, MaxWaiting: 1})
		running := runs(t, f, "a", admission.Alone)
		behind := joins(t, f, "a", admission.Alone)
		exempt, other := f.Gate.EnterAnyway(key(f.Gate, "bob")), queue(t, f.Gate, "karen", anyone)
		running.Run(finds42)
		require.True(t, other.Waiting(), "the queue is full")
		time.AfterFunc(time.Second, func() {
			exempt.Release()
			other.Release()
		})
		assert.Zero(t, behind.Wait(nil, nil))
		require.True(t, behind.Runs)
		behind.Run(finds42)
		assertNoFlights(t, f)
	})
}

// Each caller has its own deadline, and can withdraw without harm to the others.
func TestWhoeverBeganAGroupMayLeaveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights(admission.GateLimits{Max: 1, Timeout: time.Minute})
		held := enter(t, f.Gate, "bob", anyone)
		first := joins(t, f, "a", admission.JoinWaiting)
		time.Sleep(30 * time.Second)
		second, third := joins(t, f, "a", admission.JoinWaiting), joins(t, f, "a", admission.JoinWaiting)
		late := refused{Reason: admission.AllFull, Limit: 1, TimedOut: true}
		assert.Equal(t, late, first.Wait(nil, nil))
		assertCounts(t, f, 1, 0)
		assert.Equal(t, admission.Gone, third.Wait(closed(), nil).Reason)
		assertCounts(t, f, 0, 0)
		held.Release()
		assert.Zero(t, second.Wait(nil, nil))
		require.True(t, second.Runs)
		assert.Equal(t, 30*time.Second, second.Waited)
		second.Run(finds42)
		assertNoFlights(t, f)
	})
}

// The last member withdraws, and the group's place goes to the next group.
func TestAGroupThatAllHaveLeftIsForgotten(t *testing.T) {
	f := newFlights(admission.GateLimits{Max: 1})
	held := enter(t, f.Gate, "bob", anyone)
	first, second := joins(t, f, "a", admission.Alone), joins(t, f, "a", admission.Alone)
	last := joins(t, f, "a", admission.Alone)
	assert.Equal(t, admission.Gone, second.Wait(closed(), nil).Reason)
	assert.Equal(t, admission.Gone, first.Wait(closed(), nil).Reason)
	_, waiting := f.Gate.Counts()
	assert.Equal(t, 1, waiting)
	held.Release()
	assert.Zero(t, last.Wait(nil, nil))
	require.True(t, last.Runs)
	last.Run(finds42)
	assertNoFlights(t, f)
}

// A client is gone when the slot is granted: another caller runs the work, or the slot is given
// back.
func TestACallerThatIsGoneDoesNotRunTheWork(t *testing.T) {
	for _, others := range []int{0, 1} {
		f := newFlights(admission.GateLimits{Max: 1})
		held := enter(t, f.Gate, "bob", anyone)
		gone := joins(t, f, "a", admission.JoinWaiting)
		var other *part
		if others > 0 {
			other = joins(t, f, "a", admission.JoinWaiting)
		}
		held.Release()
		assert.Equal(t, admission.Gone, gone.Wait(closed(), nil).Reason)
		assert.False(t, gone.Runs)
		if others > 0 {
			assert.Zero(t, other.Wait(nil, nil))
			require.True(t, other.Runs)
			other.Run(finds42)
		}
		assertNoFlights(t, f)
	}
}

func TestAbandonedWork(t *testing.T) {
	f := newFlights(admission.GateLimits{})
	first := runs(t, f, "a", admission.JoinRunning)
	second := joins(t, f, "a", admission.JoinRunning)
	var late *part
	first.Run(func() (int, bool, error) {
		first.Withdraw()
		first.Withdraw()
		assertCounts(t, f, 1, 0)
		abandoned := first.Abandoned()
		select {
		case <-abandoned:
			assert.Fail(t, "the second still wants the answer")
		default:
		}
		assert.Equal(t, admission.Gone, second.Wait(closed(), nil).Reason)
		<-abandoned
		<-first.Abandoned()
		assertCounts(t, f, 0, 0)

		// Work that is being stopped gives others no answer.
		late = joins(t, f, "a", admission.JoinRunning)
		return 0, true, errWork
	})
	value, orphaned, err := first.Answer()
	assert.Zero(t, value)
	assert.True(t, orphaned)
	assert.Equal(t, errWork, err)
	assert.Zero(t, late.Wait(nil, nil))
	require.True(t, late.Runs)
	late.Run(finds42)
	assertNoFlights(t, f)
}

func TestWorkThatWasAbandonedBeforeAnybodyAsked(t *testing.T) {
	f := newFlights(admission.GateLimits{})
	p := runs(t, f, "a", admission.Alone)
	p.Withdraw()
	<-p.Abandoned()
	p.Run(finds42)
	assertNoFlights(t, f)
}

func TestAnOrphansAnswer(t *testing.T) {
	f := newFlights(admission.GateLimits{})
	first := runs(t, f, "a", admission.JoinRunning)
	second := joins(t, f, "a", admission.JoinRunning)
	first.Run(func() (int, bool, error) { return 0, true, errWork })
	require.Zero(t, second.Wait(nil, nil))
	_, orphaned, err := second.Answer()
	assert.True(t, orphaned)
	assert.Equal(t, errWork, err)
	assertNoFlights(t, f)
}

func TestWorkThatPanics(t *testing.T) {
	f := newFlights(admission.GateLimits{Max: 1})
	first := runs(t, f, "a", admission.JoinRunning)
	second, third := joins(t, f, "a", admission.JoinRunning), joins(t, f, "a", admission.JoinWaiting)
	assert.PanicsWithValue(t, "work", func() {
		first.Run(func() (int, bool, error) { panic("work") })
	})
	require.Zero(t, second.Wait(nil, nil))
	_, orphaned, err := second.Answer()
	assert.Equal(t, errBroken, err)
	assert.False(t, orphaned)
	require.Zero(t, third.Wait(nil, nil))
	require.True(t, third.Runs)
	third.Run(finds42)
	assertNoFlights(t, f)
}

// A caller has a deadline until the work begins, and is notified when it does.
func TestADeadlineIsUntilTheWorkBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights(admission.GateLimits{Max: 1, Timeout: time.Minute})
		first, second := runs(t, f, "a", admission.JoinRunning), joins(t, f, "a", admission.JoinRunning)
		time.AfterFunc(10*time.Minute, func() { first.Run(finds42) })
		began := 0
		assert.Zero(t, second.Wait(nil, func() { began++ }))
		assert.Equal(t, 1, began)
		assert.Equal(t, 10*time.Minute, second.Waited)
		assertNoFlights(t, f)
	})
}

// A caller notices its deadline late, when the equal work that it waits for has begun.
func TestADeadlineThatIsOverWhenTheWorkBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights(admission.GateLimits{Max: 1, Timeout: time.Minute})
		held := enter(t, f.Gate, "bob", anyone)
		first, second := joins(t, f, "a", admission.JoinWaiting), joins(t, f, "a", admission.JoinWaiting)
		time.Sleep(2 * time.Minute)
		held.Release()
		assert.Zero(t, first.Wait(nil, nil))
		require.True(t, first.Runs)
		time.AfterFunc(time.Minute, func() { first.Run(finds42) })
		assert.Equal(t, 42, answer(t, second))
		assertNoFlights(t, f)
	})
}

// A caller that has waited before does not get the full time again.
func TestACallerThatHasWaitedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights(admission.GateLimits{Timeout: time.Minute})
		running := runs(t, f, "a", admission.Alone)
		var p part
		start := time.Now()
		turn := key(f.Gate, "karen")
		p.Join(f, "a", turn, anyone, admission.Alone, start.Add(-40*time.Second))
		assert.Equal(t, admission.EqualRuns, p.Wait(nil, nil).Reason)
		assert.Equal(t, 20*time.Second, time.Since(start))
		assert.Equal(t, time.Minute, p.Waited)
		running.Run(finds42)
		assertNoFlights(t, f)
	})
}

// Several callers ask for equal work, with each Sharing, while limits change, clients are gone, and
// work fails or panics. Of a key no more than one runs at a time. Every caller gets an answer, and
// none that is older than its question. After that nothing is held.
func FuzzFlights(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) { flyAtRandom(t, seed) })
	})
}

func flyAtRandom(t *testing.T, seed uint64) {
	const keys, callers, rounds = 3, 30, 8
	limits := admission.GateLimits{Max: 2, Timeout: 50 * time.Millisecond}
	fl := newFlights(limits)
	var now atomic.Int64 // counts questions and answers
	var running [keys]atomic.Int32
	var inside atomic.Int32
	var all sync.WaitGroup
	for i := range callers {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		c, p := newCaller(admission.KeyLimits{}), &part{}
		all.Go(func() {
			for range rounds {
				time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
				key, sharing := random.IntN(keys), admission.Sharing(random.IntN(3))
				gone := make(chan struct{})
				if random.IntN(3) == 0 {
					time.AfterFunc(time.Duration(random.IntN(20))*time.Millisecond, func() { close(gone) })
				}
				asked := now.Add(1)
				joinAs(p, fl, work(rune('a'+key)), string(rune('a'+i%4)), c, sharing)
				if p.Wait(gone, nil).Is() {
					continue
				}
				if p.Runs {
					func() {
						defer func() { recover() }()
						p.Run(func() (int, bool, error) {
							assert.EqualValues(t, 1, running[key].Add(1), "runs of one key")
							defer running[key].Add(-1)
							assert.LessOrEqual(t, inside.Add(1), int32(3))
							defer inside.Add(-1)
							begun := now.Add(1)
							if random.IntN(4) == 0 {
								p.Withdraw()
							}
							time.Sleep(time.Duration(random.IntN(6)) * time.Millisecond)
							if random.IntN(10) == 0 {
								panic("work")
							}
							return int(begun), false, nil
						})
					}()
					continue
				}
				begun, _, err := p.Answer()
				if err == nil && sharing != admission.JoinRunning {
					assert.Greater(t, int64(begun), asked, "an answer from before the question")
				}
				assert.NotEqual(t, admission.Alone, sharing, "who runs alone runs itself")
			}
		})
	}
	all.Go(func() {
		random := rand.New(rand.NewPCG(seed, 1000))
		for range 40 {
			time.Sleep(2 * time.Millisecond)
			limits.Max, limits.MaxWaiting = 1+random.IntN(3), random.IntN(10)
			fl.Gate.SetLimits(limits)
			fl.SetTimeout(limits.Timeout)
		}
		if seed%2 == 0 {
			fl.Gate.Close()
			fl.Close()
		}
	})
	all.Wait()
	assertNoFlights(t, fl)
}
