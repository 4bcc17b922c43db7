package admission_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/admission"
)

// countdown calls f when it is called for the nth time.
func countdown(n int, f func()) func() {
	return func() {
		if n--; n == 0 {
			f()
		}
	}
}

// Otherwise the next caller of the name would not be counted together with the work.
func TestWorkHoldsTheKeyOfItsTurn(t *testing.T) {
	f := newFlights(admission.GateLimits{})
	var keys admission.Keys
	turn := keys.Hold("karen")
	var first, behind part
	first.Join(f, "a", turn, anyone, admission.Alone, time.Time{})
	behind.Join(f, "a", turn, anyone, admission.Alone, time.Time{})
	turn.Release()
	assert.Equal(t, 1, keys.Len())
	first.Run(finds42)
	assert.Equal(t, 1, keys.Len())
	require.Zero(t, behind.Wait(nil, nil))
	behind.Run(finds42)
	assert.Zero(t, keys.Len())
	assertNoFlights(t, f)
}

// A caller that leaves while it gets its slot gives the key back once, not twice: its session has
// the key, too.
func TestWhoLeavesKeepsTheKeyOfItsSession(t *testing.T) {
	f := newFlights(admission.GateLimits{})
	var keys admission.Keys
	turn := keys.Hold("karen")
	running := runs(t, f, "a", admission.Alone)
	c := newCaller(admission.KeyLimits{})
	var behind part
	behind.Join(f, "a", turn, c, admission.Alone, time.Time{})
	c.asked = func() { assert.Equal(t, admission.Gone, behind.Wait(closed(), nil).Reason) }
	running.Run(finds42)
	assert.Equal(t, 1, keys.Len())
	turn.Release()
	assert.Zero(t, keys.Len())
	assertNoFlights(t, f)
}

// The first caller is refused, as the queue is full. The one that has joined meanwhile has waited
// for its work, and so gets a place.
func TestWhoHasWaitedForWorkThatIsRefusedIsNotRefused(t *testing.T) {
	f := newFlights(admission.GateLimits{Max: 1, MaxWaiting: 1})
	inside, other := enter(t, f.Gate, "bob", anyone), queue(t, f.Gate, "bob", anyone)
	var behind *part
	c := newCaller(admission.KeyLimits{})
	c.asked = countdown(2, func() { behind = joins(t, f, "a", admission.Alone) })
	first := join(f, "a", "karen", c, admission.Alone)
	assert.Equal(t, admission.AllQueue, first.Refusal.Reason)
	inside.Release()
	other.Release()
	assert.Zero(t, behind.Wait(nil, nil))
	require.True(t, behind.Runs)
	behind.Run(finds42)
	assertNoFlights(t, f)
}

// SetLimits asks a caller whose work has got its slot meanwhile and is over.
func TestLimitsChangeWhileWorkEnds(t *testing.T) {
	f := newFlights(admission.GateLimits{Max: 1})
	inside := enter(t, f.Gate, "eve", anyone)
	c := newCaller(admission.KeyLimits{})
	other := queue(t, f.Gate, "bob", c)
	p := joins(t, f, "a", admission.JoinRunning)
	c.asked = func() {
		inside.Release()
		other.Release()
		require.Zero(t, p.Wait(nil, nil))
		require.True(t, p.Runs)
		p.Run(finds42)
		p.Answer()
	}
	f.Gate.SetLimits(admission.GateLimits{Max: 2})
	assertNoFlights(t, f)
}

func TestLimitsChangeWhileACallerJoins(t *testing.T) {
	f := newFlights(admission.GateLimits{})
	inside := runs(t, f, "a", admission.Alone)
	c := newCaller(admission.KeyLimits{})
	c.asked = countdown(1, func() {
		c.limits.Store(&admission.KeyLimits{Max: 1})
		f.Gate.SetLimits(admission.GateLimits{})
	})
	p := join(f, "b", "karen", c, admission.Alone)
	assert.True(t, p.Waiting())
	inside.Run(finds42)
	require.Zero(t, p.Wait(nil, nil))
	p.Run(finds42)
	assertNoFlights(t, f)
}

// Close closes the gate before the flights.
func TestWhoJoinsWhenOnlyTheGateIsClosed(t *testing.T) {
	f := newFlights(admission.GateLimits{})
	f.Gate.Close()
	assert.Equal(t, admission.Closed, join(f, "a", "karen", anyone, admission.Alone).Refusal.Reason)
	assertNoFlights(t, f)
}

func TestWorkThatNobodySharesTakesNoMemory(t *testing.T) {
	f := newFlights(admission.GateLimits{})
	var keys admission.Keys
	turn := keys.Hold("karen")
	defer turn.Release()
	var p part
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		p.Join(f, "a", turn, anyone, admission.JoinRunning, time.Time{})
		p.Run(finds42)
		p.Answer()
	}))
	assertNoFlights(t, f)
}

// The last member leaves, another one comes, and then the first one leaves: the group has the
// limits of the only one left.
func TestAGroupHasTheLimitsOfWhoIsLeft(t *testing.T) {
	f := newFlights(admission.GateLimits{Max: 1})
	inside := enter(t, f.Gate, "bob", anyone)
	first, last := joins(t, f, "a", admission.JoinWaiting), joins(t, f, "a", admission.JoinWaiting)
	assert.Equal(t, admission.Gone, last.Wait(closed(), nil).Reason)
	c := newCaller(admission.KeyLimits{Exempt: true})
	left := join(f, "a", "karen", c, admission.JoinWaiting)
	assert.Equal(t, admission.Gone, first.Wait(closed(), nil).Reason)
	f.Gate.SetLimits(admission.GateLimits{Max: 1})
	assert.Zero(t, left.Wait(nil, nil))
	require.True(t, left.Runs, "it does not wait, as it is exempt")
	inside.Release()
	left.Run(finds42)
	assertNoFlights(t, f)
}
