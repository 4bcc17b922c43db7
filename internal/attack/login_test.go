package attack_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

const (
	authFailed = "NO [AUTHENTICATIONFAILED] Authentication failed"
	noGuesses  = "NO [UNAVAILABLE] Too many wrong passwords from this address - try again later"
)

// wrong returns the answer to a wrong password. For OAUTHBEARER it is go-imap's answer to an error
// of go-sasl that it does not know.
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
				// At the last guess the limits end an OAUTHBEARER exchange.
				for i, want := range []string{m.wrong(), m.wrong(), authFailed} {
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

// mallory logs in with her own password after each guess.
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
			"c " + authFailed, "d NO [LIMIT] Too many failed login attempts",
			"* BYE Too many failed login attempts",
		}, c.Rest())
	})
}

// noLogin is what the last ones of many read if their mechanism has two steps: each waits for
// others for up to 30 s, and then the minute of LoginTimeout is over.
const noLogin = "* BYE No login within the time allowed"

// One guess on each of many connections does not exceed the limit of wrong passwords. But the
// checks run one after the other, and each waits longer, until the last ones give up.
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
						assert.Contains(t, []string{m.wrong(), noGuesses, noLogin}, answer)
					})
				}
				all.Wait()
				assert.LessOrEqual(t, time.Since(start), time.Minute)
				checks := s.checks.Load()
				assert.GreaterOrEqual(t, checks, int64(4), "after 0, 2, 4 and 8 seconds")
				if m.name != "EXTERNAL" { // the client sends the same each time, which is not another guess
					assert.LessOrEqual(t, checks, int64(6))
				}
				assert.EqualValues(t, 1, s.mostAtOnce.Load())
				assert.EqualValues(
					t, checks, s.limiter.Stats().Total.WrongCredentials, "and the owner sees them",
				)
			})
		})
	}
}

// An address can make only so many guesses in an hour, of one user or of many. It uses as many
// connections as it may have, and reconnects when they are closed.
func TestPasswordGuessingForAnHour(t *testing.T) {
	for name, user := range map[string]func(i int) string{
		"one user":   func(int) string { return "karen" },
		"many users": func(i int) string { return fmt.Sprint("user", i) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := attackable(t, limits.DefaultOptions())
				var guesses atomic.Int64
				var all sync.WaitGroup
				end := time.Now().Add(time.Hour)
				for range 40 {
					all.Go(func() {
						for time.Now().Before(end) {
							i := int(guesses.Add(1))
							c := s.dialFrom(elsewhere)
							c.Send(fmt.Sprintf("a LOGIN %s guess%d", user(i), i))
							c.Line()
							c.Close()
						}
					})
				}
				all.Wait()
				t.Logf("%d guesses, %d checks", guesses.Load(), s.checks.Load())
				assert.LessOrEqual(t, s.checks.Load(), int64(245))
				start := time.Now()
				_, answer := s.login(here, "karen")
				assert.Contains(t, answer, "OK")
				assert.Equal(t, checkTime, time.Since(start), "and nobody else waits")
			})
		})
	}
}

// An address can guess the passwords of only a few users at once, however many connections it has.
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
					answer := imaptest.Last(c.Cmd(fmt.Sprintf("a LOGIN user%d guess", i)))
					assert.Contains(t, []string{authFailed, noGuesses, noLogin}, answer)
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

// A stranger behind the same address as the user can delay a login, as SECURITY.md says. But the
// stranger ends no session and fills no limit, also if an idle session makes room for a new login.
func TestLockingAUserOutFromTheSameAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := limits.DefaultOptions()
		options.MaxLoginsPerUser, options.EvictIdle = 1, time.Minute
		s := attackable(t, options)
		session, _ := s.login(here, "karen")
		for range 2 {
			time.Sleep(5 * time.Minute) // and her session is idle
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

// karen is at her limit, bob is logged in once, and the user "nobody" does not exist. A stranger
// sees no difference, to the byte and the nanosecond.
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
				look := func(user, address string) (all seen) {
					start := time.Now()
					var mu sync.Mutex
					var attempts sync.WaitGroup
					for range 3 {
						c := s.dialFrom(address)
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
				nobody := look("nobody", "203.0.113.1")
				assert.Greater(t, nobody.took, 9*checkTime)
				assert.Equal(t, nobody, look("karen", "203.0.113.2"))
				assert.Equal(t, nobody, look("bob", "203.0.113.3"))
			})
		})
	}
}
