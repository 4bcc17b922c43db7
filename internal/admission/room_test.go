package admission_test

import (
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/admission"
)

// finds returns a sweep that finds these sessions.
func finds(hungUp, silent []string) admission.Sweep[string] {
	return func(all []*login) (h, s []*login) {
		for _, name := range hungUp {
			h = append(h, all[slices.IndexFunc(all, func(in *login) bool { return in.Session == name })])
		}
		for _, name := range silent {
			s = append(s, all[slices.IndexFunc(all, func(in *login) bool { return in.Session == name })])
		}
		return h, s
	}
}

func nothing([]*login) (hungUp, silent []*login) { return nil, nil }

// full returns logins in which karen has reached her limit, with the sessions "0", "1" and so on.
func full(t *testing.T, most int) (*logins, []*login) {
	l := &logins{Timeout: time.Minute}
	all := make([]*login, most)
	for i := range all {
		all[i] = logIn(t, l, karen(most), strconv.Itoa(i))
	}
	require.Equal(t, admission.UserFull, l.Ask(karen(most).caller()).Refusal.Reason)
	return l, all
}

func names(all []*login) (names []string) {
	for _, in := range all {
		names = append(names, in.Session)
	}
	return names
}

// admit logs a session in, for which others may have to make room.
func admit(t *testing.T, l *logins, c *client, session string) (in *login, evicted []*login) {
	a := check(t, l, c)
	defer a.End()
	in, evicted, refusal := a.Admit("karen", session)
	require.Zero(t, refusal)
	return in, evicted
}

func TestSessionsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, all := full(t, 3)
		assert.True(t, l.MakeRoom("karen", finds([]string{"1"}, []string{"2", "0"})))
		_, evicted := admit(t, l, karen(3), "new")
		assert.Equal(t, []string{"1"}, names(evicted), "whose client has hung up goes first")
		_, evicted = admit(t, l, karen(3), "newer")
		assert.Equal(t, []string{"2"}, names(evicted))
		l.Leave(all[0]) // a session that has logged out makes room only once
		_, evicted = admit(t, l, karen(3), "newest")
		assert.Empty(t, evicted)
		assert.Equal(t, admission.UserFull, l.Ask(karen(3).caller()).Refusal.Reason)
		sessions, _, _ := l.Counts()
		assert.Equal(t, 3, sessions)
	})
}

func TestSeveralGoWhenTheLimitHasGoneDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := full(t, 5)
		require.True(t, l.MakeRoom("karen", finds([]string{"4"}, []string{"3", "2"})))
		a := l.Ask(karen(2).caller())
		assert.Equal(t, refused{Reason: admission.UserFull, Limit: 2}, a.Refusal, "four would have to go")
		_, evicted := admit(t, l, karen(3), "new")
		assert.Equal(t, []string{"4", "3", "2"}, names(evicted))
	})
}

// The commands of clients that have hung up may still run. No more evicted sessions than the limit
// are open at a time.
func TestNoMoreThanTheLimitLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, all := full(t, 2)
		sweep := func(logins []*login) (hungUp, silent []*login) { return logins, nil }
		for range 2 {
			require.True(t, l.MakeRoom("karen", sweep))
			var evicted []*login
			_, evicted = admit(t, l, karen(2), "new")
			require.Len(t, evicted, 1)
			all = append(all, evicted...)
		}
		require.True(t, l.MakeRoom("karen", sweep))
		assert.Equal(t, admission.UserFull, l.Ask(karen(2).caller()).Refusal.Reason, "two linger")
		l.MakeRoom("karen", func(logins []*login) (hungUp, silent []*login) { return nil, logins })
		assert.Equal(t, admission.UserFull, l.Ask(karen(2).caller()).Refusal.Reason, "however silent")
		require.True(t, l.MakeRoom("karen", sweep))
		l.Leave(all[2]) // its command is over
		l.Leave(all[2])
		_, evicted := admit(t, l, karen(2), "new")
		assert.Len(t, evicted, 1)
		assert.Equal(t, admission.UserFull, l.Ask(karen(2).caller()).Refusal.Reason)
	})
}

// Silent sessions run nothing. They make room even when only one more hung-up session may be
// evicted.
func TestSilentSessionsGoAfterThoseThatMayLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := full(t, 3)
		require.True(t, l.MakeRoom("karen", finds([]string{"0"}, nil)))
		admit(t, l, karen(3), "3")
		require.True(t, l.MakeRoom("karen", finds([]string{"1", "2"}, []string{"3"})))
		// Of a limit of two, one evicted session is open: one hung-up session may be evicted, and the
		// silent one.
		_, evicted := admit(t, l, karen(2), "4")
		assert.Equal(t, []string{"1", "3"}, names(evicted))
	})
}

func TestAForcedLoginEvictsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := full(t, 1)
		require.True(t, l.MakeRoom("karen", finds(nil, []string{"0"})))
		forced := karen(1)
		forced.limits.Force = true
		_, evicted := admit(t, l, forced, "new")
		assert.Empty(t, evicted)
	})
}

// The result of a sweep is valid for a while, and not longer.
func TestWhatASweepHasFoundGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := full(t, 2)
		require.True(t, l.MakeRoom("karen", finds(nil, []string{"0"})))
		time.Sleep(9 * time.Millisecond)
		check(t, l, karen(2)).End()
		time.Sleep(2 * time.Millisecond)
		assert.Equal(t, admission.UserFull, l.Ask(karen(2).caller()).Refusal.Reason)
	})
}

// A user with many sessions is swept so seldom that the cost does not depend on the number of
// logins.
func TestHowOftenAUserIsSwept(t *testing.T) {
	for sessions, pause := range map[int]time.Duration{
		64: 0, 65: 10 * time.Millisecond, 1000: 25 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			l, _ := full(t, sessions)
			sweeps := 0
			sweep := func([]*login) (hungUp, silent []*login) {
				sweeps++
				return nil, nil
			}
			assert.False(t, l.MakeRoom("nobody", sweep))
			assert.Zero(t, sweeps)
			l.MakeRoom("karen", sweep)
			if pause > 0 {
				time.Sleep(pause - 1)
				assert.False(t, l.MakeRoom("karen", sweep))
				assert.Equal(t, 1, sweeps)
				time.Sleep(time.Nanosecond)
			}
			l.MakeRoom("karen", sweep)
			assert.Equal(t, 2, sweeps)
		})
	}
}

// A login of the user during a sweep waits for it. Other logins go on meanwhile.
func TestNoLockIsHeldDuringASweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, all := full(t, 2)
		bob := logIn(t, l, &client{"bob", office, admission.LoginLimits{User: 1}, nil}, "bob")
		going := make(chan struct{})
		var sweeps sync.WaitGroup
		for range 3 {
			sweeps.Go(func() {
				assert.True(t, l.MakeRoom("karen", func([]*login) (hungUp, silent []*login) {
					<-going
					return nil, []*login{all[0], all[1]}
				}))
			})
		}
		synctest.Wait()
		l.MakeRoom("bob", nothing)
		l.Leave(bob)
		l.Leave(all[0]) // it must not be evicted after it has logged out
		close(going)
		sweeps.Wait()
		admit(t, l, karen(2), "new")
		_, evicted := admit(t, l, karen(2), "newer")
		assert.Equal(t, []string{"1"}, names(evicted))
		assert.Equal(t, admission.UserFull, l.Ask(karen(2).caller()).Refusal.Reason)
	})
}

// Two logins that were refused at once sweep one after the other. The first one goes on while the
// second one sweeps.
func TestASweepKeepsWhatTheOneBeforeHasFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := full(t, 1)
		assert.True(t, l.MakeRoom("karen", finds(nil, []string{"0"})))
		assert.False(t, l.MakeRoom("karen", func([]*login) (hungUp, silent []*login) {
			_, evicted := admit(t, l, karen(1), "new")
			assert.Equal(t, []string{"0"}, names(evicted))
			return nil, nil
		}))
	})
}

func TestASweepThatPanicsIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, all := full(t, 1)
		assert.Panics(t, func() {
			l.MakeRoom("karen", func([]*login) (hungUp, silent []*login) { panic("sweep") })
		})
		assert.False(t, l.MakeRoom("karen", nothing))
		l.Leave(all[0])
		assertNobody(t, l)
	})
}

// All sessions of the user log out during a sweep, and another one logs in.
func TestAUserWhoLeavesDuringASweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, all := full(t, 1)
		var again *login
		l.MakeRoom("karen", func(logins []*login) (hungUp, silent []*login) {
			l.Leave(all[0])
			again = logIn(t, l, karen(1), "again")
			return logins, nil
		})
		assert.Equal(t, admission.UserFull, l.Ask(karen(1).caller()).Refusal.Reason)
		l.Leave(again)
		assertNobody(t, l)
	})
}

// Sessions that make room may log out in any order.
func TestThoseThatMakeRoomLeaveByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, all := full(t, 6)
		everybody := []string{"0", "1", "2", "3", "4", "5"}
		require.True(t, l.MakeRoom("karen", finds(everybody[:3], everybody[3:])))
		for _, i := range []int{4, 1, 0} {
			l.Leave(all[i])
		}
		c := karen(2)
		_, evicted := admit(t, l, c, "new")
		assert.Equal(t, []string{"2", "3"}, names(evicted))
		for _, in := range evicted {
			l.Leave(in)
		}
		l.Leave(all[5])
		sessions, _, _ := l.Counts()
		assert.Equal(t, 1, sessions)
	})
}
