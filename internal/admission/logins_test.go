package admission_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/admission"
)

type (
	logins  = admission.Logins[string]
	login   = admission.Login[string]
	attempt = admission.Attempt[string]
	refused = admission.Refusal
)

var (
	home   = netip.MustParsePrefix("192.0.2.1/32")
	office = netip.MustParsePrefix("192.0.2.2/32")
)

// client is a client that logs in: its name, its address, and its current limits.
type client struct {
	user    string
	network netip.Prefix
	limits  admission.LoginLimits
	asked   func() // called after the limits were read, without a lock
}

func (c *client) caller() admission.LoginCaller {
	return admission.LoginCaller{
		User: c.user, Pair: c.network, Network: c.network,
		Limits: func() admission.LoginLimits {
			limits := c.limits
			if c.asked != nil {
				c.asked()
			}
			return limits
		},
	}
}

// karen returns a client at a fixed address that may have that many sessions.
func karen(most int) *client {
	return &client{"karen", home, admission.LoginLimits{User: most, OneByOne: most > 0}, nil}
}

// check returns an attempt whose password may be checked at once.
func check(t *testing.T, l *logins, c *client) *attempt {
	a := l.Ask(c.caller())
	require.False(t, a.Waiting())
	require.Zero(t, a.Refusal)
	return a
}

// logIn logs a session in.
func logIn(t *testing.T, l *logins, c *client, session string) *login {
	a := check(t, l, c)
	defer a.End()
	in, evicted, refusal := a.Admit(c.user, session)
	require.Zero(t, refusal)
	require.Empty(t, evicted)
	return in
}

// wait returns an attempt that waits.
func wait(t *testing.T, l *logins, c *client) *attempt {
	a := l.Ask(c.caller())
	require.True(t, a.Waiting())
	return a
}

func assertNobody(t *testing.T, l *logins) {
	sessions, checking, waiting := l.Counts()
	assert.Zero(t, sessions, "sessions")
	assert.Zero(t, checking, "checks")
	assert.Zero(t, waiting, "waiting")
	assert.Zero(t, l.Entries(), "users, networks and pairs")
}

func TestTheZeroLoginsLimitNothing(t *testing.T) {
	var l logins
	var all []*login
	for range 100 {
		a, b := check(t, &l, karen(0)), check(t, &l, karen(0))
		assert.Zero(t, a.Wait(nil))
		in, _, refusal := a.Admit("karen", "")
		require.Zero(t, refusal)
		all = append(all, in)
		a.End()
		a.End()
		b.End()
	}
	sessions, _, _ := l.Counts()
	assert.Equal(t, 100, sessions)
	l.Leave(nil)
	for _, in := range all {
		l.Leave(in)
		l.Leave(in)
	}
	assertNobody(t, &l)
}

// Nobody is logged in. A stranger learns nothing from the number of logins that are checked at
// once.
func TestStrangersAreCheckedOneAtATime(t *testing.T) {
	for _, most := range []int{1, 5} {
		synctest.Test(t, func(t *testing.T) {
			l := &logins{Timeout: time.Minute}
			first := check(t, l, karen(most))
			second, third := wait(t, l, karen(most)), wait(t, l, karen(most))
			limits := admission.LoginLimits{User: most, OneByOne: true}
			elsewhere := check(t, l, &client{"karen", office, limits, nil})
			other := check(t, l, &client{"bob", home, limits, nil})
			_, checking, waiting := l.Counts()
			assert.Equal(t, []int{3, 2}, []int{checking, waiting})
			time.AfterFunc(time.Second, first.End)
			assert.Zero(t, second.Wait(nil))
			assert.Equal(t, time.Second, second.Waited)
			time.AfterFunc(time.Second, second.End)
			assert.Zero(t, third.Wait(nil))
			assert.Equal(t, 2*time.Second, third.Waited)
			for _, a := range []*attempt{third, elsewhere, other} {
				a.End()
			}
			assertNobody(t, l)
		})
	}
}

func TestAsManyAreCheckedAsCouldBeAdmitted(t *testing.T) {
	l := &logins{Timeout: time.Minute}
	in := logIn(t, l, karen(3), "1")
	first, second := check(t, l, karen(3)), check(t, l, karen(3))
	third := wait(t, l, karen(3))
	_, _, refusal := first.Admit("karen", "2")
	require.Zero(t, refusal)
	first.End()
	assert.True(t, third.Waiting(), "one may be admitted, and one is being checked")
	second.End()
	assert.Zero(t, third.Wait(nil))
	_, _, refusal = third.Admit("karen", "3")
	require.Zero(t, refusal)
	third.End()
	full := l.Ask(karen(3).caller())
	assert.False(t, full.Waiting())
	assert.Equal(t, refused{Reason: admission.UserFull, Limit: 3}, full.Refusal)
	full.End()
	l.Leave(in)
	check(t, l, karen(3)).End()
}

func TestWhatALoginIsRefusedWith(t *testing.T) {
	at := func(limits admission.LoginLimits) *client { return &client{"karen", home, limits, nil} }
	for name, test := range map[string]struct {
		client *client
		in     int // sessions that are already logged in
		then   func(l *logins, first *attempt)
		gone   <-chan struct{}
		want   refused
		after  time.Duration
	}{
		"one at a time, for too long": {
			client: at(admission.LoginLimits{User: 5, Network: 7, OneByOne: true}),
			want:   refused{Reason: admission.UserFull, Limit: 5, TimedOut: true}, after: time.Minute,
		},
		"one at a time, without a limit on the user": {
			client: at(admission.LoginLimits{Network: 7, OneByOne: true}),
			want:   refused{Reason: admission.NetworkFull, Limit: 7, TimedOut: true}, after: time.Minute,
		},
		"one at a time, without any limit": {
			client: at(admission.LoginLimits{OneByOne: true}),
			want:   refused{Reason: admission.EqualRuns, Timeout: time.Minute, TimedOut: true},
			after:  time.Minute,
		},
		"the network's last place": {
			client: at(admission.LoginLimits{Network: 1}),
			want:   refused{Reason: admission.NetworkFull, Limit: 1, TimedOut: true}, after: time.Minute,
		},
		"gone": {
			client: at(admission.LoginLimits{Network: 1}), gone: closed(),
			want: refused{Reason: admission.Gone},
		},
		"closed": {
			client: at(admission.LoginLimits{Network: 1}),
			then:   func(l *logins, _ *attempt) { l.Close() },
			want:   refused{Reason: admission.Closed}, after: time.Second,
		},
		"the network is full when the other one is in": {
			client: at(admission.LoginLimits{Network: 1}),
			then: func(l *logins, first *attempt) {
				first.Admit("karen", "1")
				first.End()
			},
			want: refused{Reason: admission.NetworkFull, Limit: 1}, after: time.Second,
		},
		"the user is at the limit when the other one is in": {
			client: at(admission.LoginLimits{User: 1, OneByOne: true}),
			then: func(l *logins, first *attempt) {
				first.Admit("karen", "1")
				first.End()
			},
			want: refused{Reason: admission.UserFull, Limit: 1}, after: time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &logins{Timeout: time.Minute}
				first := check(t, l, test.client)
				a := wait(t, l, test.client)
				if test.then != nil {
					time.AfterFunc(time.Second, func() { test.then(l, first) })
				}
				start := time.Now()
				assert.Equal(t, test.want, a.Wait(test.gone))
				assert.Equal(t, test.after, time.Since(start))
				assert.Equal(t, test.after, a.Waited)
				assert.Equal(t, test.want, a.Wait(nil), "again")
				assert.False(t, a.Waiting())
				a.End()
				_, checking, waiting := l.Counts()
				if test.then == nil {
					assert.Equal(t, []int{1, 0}, []int{checking, waiting})
				}
				first.End()
			})
		})
	}
}

func TestAClosedLoginsRefusesAll(t *testing.T) {
	l := &logins{}
	in := logIn(t, l, karen(5), "1")
	a, b := check(t, l, karen(5)), check(t, l, karen(5))
	l.Close()
	assert.Equal(t, refused{Reason: admission.Closed}, l.Ask(karen(5).caller()).Refusal)
	assert.Equal(t, refused{Reason: admission.Closed}, l.Ask((&client{}).caller()).Refusal)
	none, _, refusal := a.Admit("karen", "2")
	assert.Nil(t, none)
	assert.Equal(t, refused{Reason: admission.Closed}, refusal)
	a.End()
	b.End()
	l.Leave(in)
	assertNobody(t, l)
}

// A login without a pair is checked, unless it is sure to be refused.
func TestLoginsWithoutAPair(t *testing.T) {
	l := &logins{Timeout: time.Minute}
	nameless := &client{"", home, admission.LoginLimits{User: 1, Network: 2, OneByOne: true}, nil}
	a, b := check(t, l, nameless), check(t, l, nameless)
	for i, one := range []*attempt{a, b} {
		in, _, refusal := one.Admit([]string{"karen", "bob"}[i], "")
		require.Zero(t, refusal)
		defer l.Leave(in)
		one.End()
	}
	full := l.Ask(nameless.caller())
	assert.Equal(t, refused{Reason: admission.NetworkFull, Limit: 2}, full.Refusal)
	full.End()
	nowhere := &client{"karen", netip.Prefix{}, admission.LoginLimits{User: 1, OneByOne: true}, nil}
	c, d := check(t, l, nowhere), check(t, l, nowhere)
	_, _, refusal := c.Admit("karen", "")
	assert.Equal(t, refused{Reason: admission.UserFull, Limit: 1}, refusal)
	c.End()
	d.End()
	sessions, checking, waiting := l.Counts()
	assert.Equal(t, []int{2, 0, 0}, []int{sessions, checking, waiting})
}

func TestAdmitRefusesAndCountsNothing(t *testing.T) {
	l := &logins{}
	c := &client{"karen", home, admission.LoginLimits{Network: 1}, nil}
	first := check(t, l, c)
	bob := &client{"bob", home, admission.LoginLimits{Network: 1}, nil}
	second := check(t, l, bob)
	in, _, refusal := first.Admit("karen", "1")
	require.Zero(t, refusal)
	none, evicted, refusal := second.Admit("bob", "2")
	assert.Nil(t, none)
	assert.Empty(t, evicted)
	assert.Equal(t, refused{Reason: admission.NetworkFull, Limit: 1}, refusal)
	anyway := second.AdmitAnyway("bob", "2")
	assert.Equal(t, "2", anyway.Session)
	first.End()
	second.End()
	sessions, _, _ := l.Counts()
	assert.Equal(t, 2, sessions)
	l.Leave(anyway)
	l.Leave(in)
	assertNobody(t, l)
}

// The backend may log in another user than the one that the client named. A pair knows only the
// users of its sessions.
func TestAPairOfSeveralUsers(t *testing.T) {
	l := &logins{Timeout: time.Minute}
	a := check(t, l, karen(1))
	alias, _, refusal := a.Admit("bob", "1")
	require.Zero(t, refusal)
	a.End()
	// The pair's sessions are bob's, who is at the limit.
	assert.Equal(t, admission.UserFull, l.Ask(karen(1).caller()).Refusal.Reason)

	l.Leave(alias)
	a = check(t, l, karen(5))
	alias, _, _ = a.Admit("bob", "1")
	a.End()
	a = check(t, l, karen(5))
	other, _, _ := a.Admit("karen", "2")
	a.End()
	// It is not known whose the next login is: one at a time.
	a = check(t, l, karen(1))
	wait(t, l, karen(1)).Wait(closed())
	a.End()
	l.Leave(alias)
	l.Leave(other)
	assertNobody(t, l)
}

func TestExemptLoginsAreCheckedAtOnce(t *testing.T) {
	l := &logins{Timeout: time.Minute}
	first := check(t, l, karen(1))
	exempt := &client{"karen", home, admission.LoginLimits{OneByOne: true, Exempt: true}, nil}
	second, waiting := check(t, l, exempt), wait(t, l, karen(1))
	third := check(t, l, exempt)
	for _, a := range []*attempt{first, second, third} {
		assert.True(t, waiting.Waiting())
		a.End()
	}
	assert.Zero(t, waiting.Wait(nil))
	waiting.End()
	assertNobody(t, l)
}

func TestForcedLoginsAreNeverRefused(t *testing.T) {
	l := &logins{Timeout: time.Minute}
	in := logIn(t, l, karen(1), "1")
	forced := karen(1)
	forced.limits.Force, forced.limits.Network = true, 1
	check(t, l, forced).End()
	forced.limits.Network = 0
	a, b := check(t, l, forced), check(t, l, forced)
	none, evicted, refusal := a.Admit("karen", "2")
	assert.Nil(t, none)
	assert.Empty(t, evicted)
	assert.Equal(t, refused{Reason: admission.UserFull, Limit: 1}, refusal, "but it is told")
	second := a.AdmitAnyway("karen", "2")
	a.End()
	b.End()
	l.Leave(second)
	l.Leave(in)
	assertNobody(t, l)
}

// A login waits, its user is at the limit, and then all logins get Force.
func TestAWaitingLoginThatIsForcedIsNotRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &logins{Timeout: time.Minute}
		in := logIn(t, l, karen(2), "1")
		first := check(t, l, karen(2))
		c := karen(2)
		waiting := wait(t, l, c)
		c.limits.User, c.limits.Force = 1, true
		l.Review()
		assert.Zero(t, waiting.Wait(nil))
		waiting.End()
		first.End()
		l.Leave(in)
		assertNobody(t, l)
	})
}

func TestReview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &logins{Timeout: time.Minute}
		in := logIn(t, l, karen(2), "1")
		first := check(t, l, karen(2))
		c, d := karen(2), karen(2)
		raised, lowered := wait(t, l, c), wait(t, l, d)
		c.limits.User = 3
		l.Review()
		assert.Zero(t, raised.Wait(nil))
		d.limits.User = 1
		l.Review()
		assert.Equal(t, refused{Reason: admission.UserFull, Limit: 1}, lowered.Wait(nil))
		raised.End()
		first.End()
		l.Leave(in)
		assertNobody(t, l)
	})
}

// First come, first served, even if the next login has a higher limit.
func TestNobodyIsCheckedBeforeThoseWhoCameBefore(t *testing.T) {
	l := &logins{Timeout: time.Minute}
	in := logIn(t, l, karen(2), "1")
	first := check(t, l, karen(2))
	low, high := wait(t, l, karen(2)), wait(t, l, karen(5))
	_, checking, waiting := l.Counts()
	assert.Equal(t, []int{1, 2}, []int{checking, waiting})
	low.Wait(closed())
	assert.Zero(t, high.Wait(nil), "nobody is before it any more")
	high.End()
	first.End()
	l.Leave(in)
	assertNobody(t, l)
}

// A client reads its limits just before they change, and asks just after.
func TestALimitThatChangesWhileALoginComes(t *testing.T) {
	l := &logins{Timeout: time.Minute}
	in := logIn(t, l, karen(2), "1")
	first := check(t, l, karen(2))
	c := karen(2)
	c.asked = func() {
		c.asked = nil
		c.limits.User = 3
		l.Review()
	}
	check(t, l, c).End()
	first.End()
	l.Leave(in)
	assertNobody(t, l)
}

// If two reviews overlap, the later one counts.
func TestTwoReviewsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &logins{Timeout: time.Minute}
		in := logIn(t, l, karen(2), "1")
		first := check(t, l, karen(2))
		c := karen(2)
		waiting := wait(t, l, c)
		c.limits.User = 3
		c.asked = func() {
			c.asked = nil
			c.limits.User = 2
			l.Review()
		}
		l.Review()
		_, checking, _ := l.Counts()
		assert.Equal(t, 1, checking)
		first.End()
		assert.Zero(t, waiting.Wait(nil))
		waiting.End()
		l.Leave(in)
		assertNobody(t, l)
	})
}

func TestALoginWithoutATimeoutWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &logins{}
		first, second := check(t, l, karen(1)), wait(t, l, karen(1))
		time.AfterFunc(1000*time.Hour, first.End)
		assert.Zero(t, second.Wait(nil))
		assert.Equal(t, 1000*time.Hour, second.Waited)
		second.End()
		assertNobody(t, l)
	})
}

// A client that is gone at the very moment of its turn does not keep the check.
func TestACheckForAClientThatIsGoneIsGivenUp(t *testing.T) {
	l := &logins{Timeout: time.Minute}
	first, second, third := check(t, l, karen(1)), wait(t, l, karen(1)), wait(t, l, karen(1))
	first.End()
	assert.Equal(t, refused{Reason: admission.Gone}, second.Wait(closed()))
	assert.Zero(t, third.Wait(nil))
	third.End()
	assertNobody(t, l)
}

// A network of a pair is wider than one that is exempt can be. So a login becomes exempt that waits
// behind one which does not.
func TestALoginThatBecomesExemptPassesOthersOfItsPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &logins{Timeout: time.Minute}
		running := check(t, l, karen(5))
		first, second := karen(5), karen(5)
		ahead, exempt := l.Ask(first.caller()), l.Ask(second.caller())
		assert.True(t, ahead.Waiting())
		assert.True(t, exempt.Waiting())
		second.limits = admission.LoginLimits{Exempt: true}
		l.Review()
		start := time.Now()
		assert.Zero(t, exempt.Wait(nil))
		assert.Zero(t, time.Since(start))
		exempt.End()
		running.End()
		assert.Zero(t, ahead.Wait(nil))
		ahead.End()
		assertNobody(t, l)
	})
}
