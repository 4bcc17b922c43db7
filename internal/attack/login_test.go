package attack_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

const authFailed = "NO [AUTHENTICATIONFAILED] Authentication failed"

// wrong returns the answer to a wrong password: for OAUTHBEARER, go-imap's to an error of go-sasl
// that it does not know.
func (m mechanism) wrong() string {
	if m.name == "OAUTHBEARER" {
		return "NO [SERVERBUG] Internal server error"
	}
	return authFailed
}

func TestPasswordGuessing(t *testing.T) {
	for _, m := range mechanisms {
		t.Run(m.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := attackable(t, limits.DefaultOptions())
				c := s.dialFrom(elsewhere)
				for i, want := range []string{m.wrong(), m.wrong(), authFailed} { // at the last one the limits end an OAUTHBEARER exchange
					answer, _ := m.try(c, "karen", fmt.Sprint("guess", i))
					assert.Equal(t, want, answer)
				}
				c.Send(strings.TrimSuffix(strings.Repeat("b LOGIN karen pass\r\n", 10), "\r\n"))
				rest := c.Rest()
				assert.Equal(t, "* BYE Too many failed login attempts", rest[len(rest)-1])
				assert.NotContains(t, strings.Join(rest, "\n"), "OK")
				assert.EqualValues(t, 3, s.checks.Load())
			})
		})
	}
}

func TestPasswordGuessingByWaysOfTheClientsChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := attackable(t, limits.DefaultOptions())
		c := s.dialFrom(elsewhere)
		for i, m := range mechanisms[:3] {
			answer, _ := m.try(c, []string{"karen", "bob", "nobody"}[i], "guess")
			assert.Equal(t, authFailed, answer)
		}
		assert.Equal(
			t, []string{"* BYE Too many failed login attempts"}, c.Rest(),
			"the connection counts, not the way or the user",
		)
	})
}

// With a password of their own, mallory logs in again after each guess.
func TestPasswordGuessingBetweenLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := attackable(t, limits.DefaultOptions())
		c := s.dialFrom(elsewhere)
		for range 2 {
			assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN mallory pass")))
			assert.True(t, imaptest.IsOK(c.Cmd("b UNAUTHENTICATE")))
			assert.Equal(t, authFailed, imaptest.Last(c.Cmd("c LOGIN karen guess")))
		}
		assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN mallory pass")))
		assert.True(t, imaptest.IsOK(c.Cmd("b UNAUTHENTICATE")))
		c.Send("c LOGIN karen guess", "d LOGIN karen pass")
		assert.Equal(t, []string{
			"c " + authFailed, "d NO [LIMIT] Too many failed login attempts", "* BYE Too many failed login attempts",
		}, c.Rest())
	})
}

// One guess on each of many connections is not refused, but the checks are made one after the
// other.
func TestPasswordGuessingOnManyConnections(t *testing.T) {
	for _, m := range mechanisms {
		t.Run(m.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := attackable(t, limits.DefaultOptions())
				const guesses = 20
				start := time.Now()
				var all sync.WaitGroup
				for i := range guesses {
					all.Go(func() {
						answer, _ := m.try(s.dialFrom(elsewhere), "karen", fmt.Sprint("guess", i))
						assert.Equal(t, m.wrong(), answer)
					})
				}
				all.Wait()
				assert.Equal(t, guesses*checkTime, time.Since(start))
				assert.EqualValues(t, guesses, s.checks.Load())
				assert.EqualValues(t, 1, s.mostAtOnce.Load())
				assert.EqualValues(
					t, guesses, s.limiter.Stats().Total.WrongCredentials, "and the owner sees them",
				)
			})
		})
	}
}

// Of different users, an address can guess a few at once, however many connections it has.
func TestPasswordGuessingOfManyUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := limits.DefaultOptions()
		options.MaxConnectionsPerIP = 10
		s := attackable(t, options)
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				c := imaptest.NewConn(t, s.DialFrom(elsewhere))
				if strings.HasPrefix(c.Line(), "* OK") {
					assert.Equal(t, authFailed, imaptest.Last(c.Cmd(fmt.Sprintf("a LOGIN user%d guess", i))))
				}
			})
		}
		all.Wait()
		assert.EqualValues(t, 4, s.mostAtOnce.Load())
		assert.EqualValues(t, 90, s.limiter.Stats().Refused.ConnectionsPerIP)
	})
}

func TestLockingAUserOut(t *testing.T) {
	for _, m := range mechanisms {
		t.Run(m.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := attackable(t, limits.DefaultOptions())
				var strangers sync.WaitGroup
				for i := range 100 {
					strangers.Go(func() { m.try(s.dialFrom(fmt.Sprintf("203.0.113.%d", i%20)), "karen", "guess") })
				}
				synctest.Wait()
				for range 20 {
					start := time.Now()
					_, answer := s.login(here, "karen")
					assert.Contains(t, answer, "OK")
					assert.LessOrEqual(t, time.Since(start), 2*checkTime, "one turn, and the own check")
				}
				strangers.Wait()
			})
		})
	}
}

// Behind one address with the user a stranger can delay a login, as said in SECURITY.md, but ends
// no session and fills no limit, also where an idle session makes room for a new login.
func TestLockingAUserOutFromTheSameAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := limits.DefaultOptions()
		options.MaxLoginsPerUser, options.EvictIdle = 1, time.Minute
		s := attackable(t, options)
		session, _ := s.login(here, "karen")
		for range 2 {
			time.Sleep(5 * time.Minute) // and she is idle
			var strangers sync.WaitGroup
			for range 50 {
				strangers.Go(func() {
					c := s.dialFrom(here)
					assert.NotContains(t, imaptest.Last(c.Cmd("a LOGIN karen guess")), "OK")
					c.Close()
				})
			}
			strangers.Wait()
			assert.True(t, imaptest.IsOK(session.Cmd("a NOOP")))
		}
		time.Sleep(5 * time.Minute)
		_, answer := s.login(here, "karen")
		assert.Contains(t, answer, "OK")
		assert.Equal(
			t, []string{"* BYE [LIMIT] A newer login of this user took the place of this idle session"},
			session.Rest(),
		)
	})
}

// karen is at her limit, bob is logged in once, and there is no nobody: a stranger sees no
// difference, to the byte and the nanosecond.
func TestLearningWhetherAnAccountExistsOrIsLoggedIn(t *testing.T) {
	for _, m := range mechanisms {
		t.Run(m.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				options := limits.DefaultOptions()
				options.MaxLoginsPerUser = 2
				s := attackable(t, options)
				for _, user := range []string{"karen", "karen", "bob"} {
					s.login(here, user)
				}
				type seen struct {
					answers []string
					took    time.Duration
				}
				look := func(user string) (all seen) {
					start := time.Now()
					var mu sync.Mutex
					var attempts sync.WaitGroup
					for range 3 {
						c := s.dialFrom(elsewhere)
						attempts.Go(func() {
							for range 3 {
								_, lines := m.try(c, user, "guess")
								mu.Lock()
								all.answers = append(all.answers, lines...)
								mu.Unlock()
							}
							lines := c.Rest()
							mu.Lock()
							all.answers = append(all.answers, lines...)
							mu.Unlock()
						})
					}
					attempts.Wait()
					all.took = time.Since(start)
					slices.Sort(all.answers)
					return all
				}
				nobody := look("nobody")
				assert.Equal(t, 9*checkTime+100*time.Millisecond, nobody.took)
				assert.Equal(t, nobody, look("karen"))
				assert.Equal(t, nobody, look("bob"))
			})
		})
	}
}
