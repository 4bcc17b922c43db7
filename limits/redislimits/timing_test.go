package redislimits_test

import (
	"runtime"
	"slices"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/limits/redislimits"
)

// undecided returns how long a login takes that Redis does not decide.
func undecided(t *testing.T, c *redislimits.Cluster) time.Duration {
	t.Helper()
	return took(func() {
		lease, err := c.Acquire(login("karen", 2))
		assert.Error(t, err)
		assert.NotErrorIs(t, err, limits.ErrTooManyUserLogins)
		require.NotNil(t, lease)
		lease.Release()
	})
}

// A Redis that is hung, or slower than 50 ms, delays one login by that time, and no other. It is
// asked again until it answers in time.
func TestARedisThatIsHungOrSlowDelaysOneLogin(t *testing.T) {
	for name, slow := range map[string]time.Duration{"hung": -1, "slow": 51 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			withFake(t, func(f *fake, c *redislimits.Cluster, _ logged) {
				assert.Zero(t, took(func() { admit(t, c, login("karen", 2)) }))
				time.Sleep(time.Millisecond)
				if slow < 0 {
					f.hang()
				}
				f.slow.Store(int64(slow))
				assert.Equal(t, 50*time.Millisecond, undecided(t, c))
				assert.Equal(t, limits.ClusterStats{Leases: 1, Errors: 1, Down: true}, c.Stats())
				for range 100 {
					time.Sleep(10 * time.Millisecond)
					assert.Zero(t, undecided(t, c))
				}
				time.Sleep(5 * time.Second)
				assert.True(t, c.Stats().Down)
				assert.EqualValues(t, 1, c.Stats().Errors)

				f.set(letIn)
				f.slow.Store(int64(49 * time.Millisecond))
				f.cut() // otherwise the client waits long for the answers on the old connection
				time.Sleep(time.Second)
				assert.False(t, c.Stats().Down)
				assert.Equal(t, 49*time.Millisecond, took(func() { admit(t, c, login("karen", 2)) }))
			})
		})
	}
}

// Errors are counted, but logged at most once a minute, however often Redis comes and goes.
func TestErrorsAreLoggedOnceAMinute(t *testing.T) {
	withFake(t, func(f *fake, c *redislimits.Cluster, logged logged) {
		fail := func() {
			f.set("-OOM nothing works\r\n")
			assert.Zero(t, undecided(t, c), "an error is no wait")
			assert.True(t, c.Stats().Down)
			f.set(letIn)
			time.Sleep(2 * time.Second)
			assert.False(t, c.Stats().Down)
		}
		for range 29 {
			fail()
		}
		want := []string{
			"redislimits: Redis does not count logins: OOM nothing works",
			"redislimits: Redis answers again",
		}
		assert.Equal(t, want, logged.all())
		assert.GreaterOrEqual(t, c.Stats().Errors, uint64(29))
		fail()
		assert.Empty(t, logged.all(), "not yet")
		time.Sleep(time.Second)
		fail()
		assert.Equal(t, want, logged.all())
	})
}

// Each lease is renewed at each third of a lease. Only its first renewal may come half as much
// later. If Redis has lost one, all are renewed at once.
func TestWhenLeasesAreRenewed(t *testing.T) {
	withFake(t, func(f *fake, c *redislimits.Cluster, _ logged) {
		for range 300 {
			admit(t, c, login("karen", 300))
		}
		time.Sleep(2*time.Minute + 1500*time.Millisecond)
		f.mu.Lock()
		assert.Len(t, f.leases, 300)
		for name, at := range f.leases {
			for i := range at[1:] {
				longest := 10 * time.Second
				if i == 0 {
					longest = 15 * time.Second
				}
				assert.LessOrEqual(t, at[i+1].Sub(at[i]), longest, name)
			}
			assert.LessOrEqual(t, time.Since(at[len(at)-1]), 10*time.Second, name)
		}
		f.mu.Unlock()

		lost := time.Now()
		f.set(":1\r\n") // of the next page, something was missing
		time.Sleep(9 * time.Second)
		f.mu.Lock()
		defer f.mu.Unlock()
		first := time.Now()
		for _, all := range f.leases {
			for _, at := range all {
				if at.After(lost) && at.Before(first) {
					first = at
				}
			}
		}
		for name, all := range f.leases {
			found := slices.ContainsFunc(all, first.Equal)
			assert.True(t, found, "%s was renewed with the first one", name)
		}
	})
}

// While Redis does not answer, nothing is kept of sessions that it never knew, however many come
// and go.
func TestNothingIsKeptOfSessionsThatRedisNeverKnew(t *testing.T) {
	withFake(t, func(f *fake, c *redislimits.Cluster, _ logged) {
		f.hang()
		undecided(t, c)
		var kept []weak.Pointer[limits.SessionInfo]
		for range 1000 {
			l, info := login("karen", 2), new(limits.SessionInfo)
			l.Info = func() limits.SessionInfo { return *info }
			kept = append(kept, weak.Make(info))
			lease, err := c.Acquire(l)
			assert.Error(t, err)
			lease.Release()
		}
		time.Sleep(time.Second)
		runtime.GC()
		n := 0
		for _, info := range kept {
			if info.Value() != nil {
				n++
			}
		}
		assert.Less(t, n, 10) // one may still be on a stack
		runtime.KeepAlive(c)
	})
}
