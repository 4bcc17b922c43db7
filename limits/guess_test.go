package limits_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

const noGuesses = "NO [UNAVAILABLE] Too many wrong passwords from this address - try again later"

// try logs in on a new connection. It returns how long the answer took, and whether it was OK.
func (s *server) try(address, user, password string) (took time.Duration, ok bool) {
	c := s.dial(address)
	defer c.Close()
	took = elapsed(func() {
		answer := imaptest.Last(c.Cmd("a LOGIN " + user + " " + password))
		ok = strings.HasPrefix(answer, "OK")
		if !ok {
			assert.Equal(s.t, authFailed, answer)
		}
	})
	return took, ok
}

var guesses atomic.Int64

// wrong guesses n different passwords from the address, each after the answer to the one before. It
// returns how long the last one took.
func (s *server) wrong(address string, n int) (took time.Duration) {
	for range n {
		took, _ = s.try(address, "nobody", fmt.Sprint("guess", guesses.Add(1)))
	}
	return took
}

func (s *server) delayOf(address, user string) time.Duration {
	s.t.Helper()
	took, ok := s.try(address, user, "pass")
	assert.True(s.t, ok)
	return took
}

func TestWrongPasswordsDelayTheNextCheckOfTheirNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told recorder
		options := &limits.Options{MaxGuessDelay: 15 * time.Second, OnEvent: told.add}
		s := serve(t, &backend{}, options)
		for i, want := range []time.Duration{0, 2, 4, 8, 15, 15} {
			took, _ := s.try("192.0.2.1", fmt.Sprintf("user%d", i%2), fmt.Sprint("guess", i))
			assert.Equal(t, want*time.Second, took)
		}
		assert.Equal(t, 15*time.Second, s.delayOf("192.0.2.1", "karen"), "whoever it is")
		assert.Zero(t, s.delayOf("192.0.2.2", "karen"), "but nobody elsewhere")
		time.Sleep(20 * time.Second)
		assert.Zero(t, s.delayOf("192.0.2.1", "bob"), "the time is over")

		assert.EqualValues(t, 6, s.limiter.Stats().Total.Delayed)
		assert.Zero(t, s.limiter.Stats().LoginsDelayed)
		events := told.all()
		assert.Equal(t, limits.Event{
			Kind: limits.EventDelayed, Command: "LOGIN", User: "user1", Waited: 2 * time.Second,
			Addr: netip.MustParseAddr("192.0.2.1"), Limit: "MaxGuessDelay", Max: "15s",
		}, events[1])
		delayed := 0
		for _, e := range events {
			if e.Kind == limits.EventDelayed {
				delayed++
			}
		}
		assert.Equal(t, 6, delayed)
	})
}

// The clock goes on between any two looks at it, which is no wait. In a bubble it does not.
func TestALoginThatNeedNotWaitIsNotToldOf(t *testing.T) {
	var told recorder
	limiter := limits.New(&limits.Options{MaxGuessDelay: time.Nanosecond, OnEvent: told.add})
	s := imaptest.NewServer(t, &imapserver.Options{
		NewSession: limiter.Wrap((&backend{}).NewSession), InsecureAuth: true,
	})
	c := s.Dial()
	c.Line()
	assert.Equal(t, authFailed, imaptest.Last(c.Cmd("a LOGIN karen guess")))
	assert.Contains(t, imaptest.Last(c.Cmd("b LOGIN karen pass")), "OK")
	for _, e := range told.all() {
		assert.NotEqual(t, limits.EventDelayed, e.Kind)
	}
}

func TestTheLongestDelayIsWhatTheOptionSays(t *testing.T) {
	for longest, want := range map[time.Duration][]time.Duration{
		time.Second:      {0, 1, 1, 1},
		5 * time.Second:  {0, 2, 4, 5, 5},
		40 * time.Second: {0, 2, 4, 8, 16, 32, 40, 40},
		0:                {0, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, &backend{}, &limits.Options{MaxGuessDelay: longest})
			for i, want := range want {
				took, _ := s.try("192.0.2.1", "karen", fmt.Sprint("guess", i))
				assert.Equal(t, want*time.Second, took)
			}
		})
	}
}

func TestWrongPasswordsAreForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{MaxGuessDelay: 15 * time.Second})
		after := func(quiet time.Duration) time.Duration {
			time.Sleep(quiet)
			s.wrong("192.0.2.1", 1)
			return s.delayOf("192.0.2.1", fmt.Sprint("user", guesses.Load()))
		}
		s.wrong("192.0.2.1", 3)
		assert.Equal(t, 15*time.Second, after(time.Minute))
		assert.Equal(t, 15*time.Second, after(16*time.Minute), "one less, and one more")
		assert.Equal(t, 4*time.Second, after(50*time.Minute))
		assert.Equal(t, 2*time.Second, after(2*time.Hour))
	})
}

// Many connections from one network get one guess for each delay, after the checks that were
// running when the first guess was found wrong.
func TestAnyNumberOfConnectionsWaitsForTheSameDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, w := checked(100 * time.Millisecond)
		s := serve(t, b, &limits.Options{MaxGuessDelay: 15 * time.Second, MaxLoginChecksPerIP: 4})
		var all sync.WaitGroup
		answers := make(map[string]int)
		var mu sync.Mutex
		for i := range 300 {
			c := s.dial("203.0.113.9")
			all.Go(func() {
				answer := imaptest.Last(c.Cmd(fmt.Sprintf("a LOGIN user%d guess", i)))
				mu.Lock()
				defer mu.Unlock()
				answers[answer]++
			})
		}
		all.Wait()
		// Four at once, one after 15 s, and one after 30 s, whose turn came just before its timeout.
		assert.Equal(t, map[string]int{authFailed: 6, noGuesses: 294}, answers)
		assert.Equal(t, 4, w.most)
		assert.EqualValues(t, 294, s.limiter.Stats().Refused.Guesses)
	})
}

func TestOnlyWhomLimitsForDelaysIsCheckedOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &backend{login: func(_, password string) error {
			if password != "pass" {
				return imapserver.ErrAuthFailed
			}
			time.Sleep(time.Second)
			return nil
		}}
		s := serve(t, slow, &limits.Options{LimitsFor: func(c limits.Client) limits.ClientLimits {
			c.Limits.MaxGuessDelay = 15 * time.Second
			return c.Limits
		}})
		s.wrong("192.0.2.1", 1)
		took := make(chan time.Duration)
		for _, user := range []string{"karen", "bob"} {
			go func() { took <- s.delayOf("192.0.2.1", user) }()
		}
		assert.Equal(t, 3*time.Second, <-took)
		assert.Equal(t, 4*time.Second, <-took)
	})
}

func TestLimitsForSaysWhomWrongPasswordsDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told recorder
		webmail, cafe := netip.MustParseAddr("192.0.2.80"), netip.MustParseAddr("192.0.2.90")
		options := &limits.Options{
			MaxGuessDelay: 15 * time.Second, OnEvent: told.add,
			LimitsFor: func(c limits.Client) limits.ClientLimits {
				switch c.Addr {
				case webmail:
					c.Limits.MaxGuessDelay = 0
				case cafe:
					c.Limits.MaxGuessDelay = 3 * time.Second
				}
				return c.Limits
			},
		}
		s := serve(t, &backend{}, options)
		for address, longest := range map[string]time.Duration{
			"192.0.2.80": 0, "192.0.2.90": 3 * time.Second, "192.0.2.1": 15 * time.Second,
		} {
			s.wrong(address, 5)
			assert.Equal(t, longest, s.delayOf(address, "karen"))
		}
		for _, e := range told.all() {
			if e.Kind == limits.EventDelayed && e.Addr == cafe {
				assert.Equal(t, "3s", e.Max)
			}
			assert.False(t, e.Kind == limits.EventDelayed && e.Addr == webmail)
		}
		without := *options
		without.LimitsFor = nil
		assert.NoError(t, s.limiter.SetOptions(&without))
		assert.Zero(t, s.delayOf("192.0.2.80", "bob"), "nothing was counted")
	})
}

// Wrong passwords that arrive during the wait lengthen it, but not beyond the client's own limit.
func TestADelayThatGrowsStaysWithinTheClientsOwnLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{
			MaxGuessDelay: 15 * time.Second,
			LimitsFor: func(c limits.Client) limits.ClientLimits {
				c.Limits.MaxGuessDelay = 3 * time.Second
				return c.Limits
			},
		})
		s.delayOf("192.0.2.1", "karen") // so that karen's own guesses do not wait
		s.wrong("192.0.2.1", 1)
		var guesser sync.WaitGroup
		guesser.Go(func() {
			for i := range 10 {
				time.Sleep(time.Second)
				took, _ := s.try("192.0.2.1", "karen", fmt.Sprint("guess", i))
				assert.Zero(t, took)
			}
		})
		assert.Equal(t, 3*time.Second, s.delayOf("192.0.2.1", "bob"))
		guesser.Wait()
	})
}

// A login that waits because of wrong passwords holds nothing that other logins need.
func TestALoginThatIsDelayedKeepsNobodyElseWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{login: slowCheck(time.Second)}, &limits.Options{
			MaxGuessDelay: 15 * time.Second, MaxLoginChecks: 1, MaxLoginsPerUser: 5,
		})
		s.wrong("203.0.113.9", 4)
		guesser := s.dial("203.0.113.9")
		guesser.Send("a LOGIN karen guess")
		synctest.Wait()
		s.inUse(limits.Stats{Connections: 1, LoginsDelayed: 1})
		for range 3 {
			assert.Equal(t, time.Second, s.delayOf("192.0.2.1", "karen"), "the same user elsewhere")
			assert.Equal(t, time.Second, s.delayOf("192.0.2.1", "bob"))
		}
		assert.Contains(t, guesser.Line(), authFailed)
	})
}

// A phone with an old password counts once, whichever way it logs in.
func TestTheSameGuessCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serveSessions(
			t, b,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				session := &backendSession{backend: b}
				check := func(identity, username, password string) error {
					return session.Login(username, password)
				}
				return saslSession{session, map[string]func() sasl.Server{
					"PLAIN": func() sasl.Server { return sasl.NewPlainServer(check) },
				}}, nil, nil
			},
			&limits.Options{MaxGuessDelay: 15 * time.Second},
		)
		s.try("192.0.2.1", "karen", "old")
		time.Sleep(time.Minute)
		for range 10 {
			took, _ := s.try("192.0.2.1", "Karen", "old")
			assert.Zero(t, took)
			assert.Equal(
				t, authFailed, authenticate(s.dial("192.0.2.1"), "PLAIN", "\x00karen\x00old"),
			)
			assert.Zero(t, s.delayOf("192.0.2.1", "bob"))
		}
		// Other guesses from the network do not make it count again, unless they are many.
		for i := range 6 {
			time.Sleep(time.Minute)
			s.try("192.0.2.1", "karen", fmt.Sprint("guess", i))
			time.Sleep(time.Minute)
			s.try("192.0.2.1", "karen", "old")
			assert.Zero(t, s.delayOf("192.0.2.1", fmt.Sprint("user", i)))
		}
		s.try("192.0.2.1", "karen", "another")
		assert.Equal(t, 15*time.Second, s.delayOf("192.0.2.1", "eve"), "and it is no fifth")
		s.try("192.0.2.1", "bob", "old")
		assert.Equal(t, 15*time.Second, s.delayOf("192.0.2.1", "mallory"), "another user's counts")
	})
}

func TestAUserWhoHasLoggedInFromThereLatelyDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{MaxGuessDelay: 15 * time.Second})
		s.delayOf("192.0.2.1", "karen")
		s.delayOf("192.0.2.2", "bob")
		time.Sleep(6 * 24 * time.Hour)
		for range 5 {
			s.wrong("192.0.2.1", 1)
			assert.Zero(t, s.delayOf("192.0.2.1", "KAREN"))
			time.Sleep(time.Minute)
		}
		s.wrong("192.0.2.1", 1)
		assert.Equal(t, 15*time.Second, s.delayOf("192.0.2.1", "bob"), "that was elsewhere")
		time.Sleep(8 * 24 * time.Hour)
		s.wrong("192.0.2.1", 1)
		assert.Equal(t, 2*time.Second, s.delayOf("192.0.2.1", "karen"), "that is long ago")
	})
}

// A user who asks to act as another one, which the backend ignores, does not become known as that
// one. Otherwise the user could guess the other's password without a delay.
func TestOnlyWhoIsProvenIsKnown(t *testing.T) {
	for _, test := range []struct {
		mech, message string
		known         bool
	}{
		{"PLAIN", "\x00karen\x00pass", true},
		{"PLAIN", "karen\x00karen\x00pass", true},
		{"PLAIN", "karen\x00mallory\x00pass", false},
		{"LOGIN", "karen", true},
		{"EXTERNAL", "karen", false},
		{"XOAUTH2", "user=karen\x01auth=Bearer x\x01\x01", false},
		{"OAUTHBEARER", "n,a=karen,\x01auth=Bearer x\x01\x01", false},
		{"SCRAM-SHA-256", "n,,n=karen,r=x", true},
		{"SCRAM-SHA-256", "n,a=karen,n=mallory,r=x", false},
	} {
		t.Run(test.mech+" "+test.message, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{}
				s := serveSessions(
					t, b, saslBackend(b, test.mech, 1, 0), &limits.Options{MaxGuessDelay: 15 * time.Second},
				)
				assert.Contains(t, authenticate(s.dial("192.0.2.1"), test.mech, test.message), "OK")
				s.wrong("192.0.2.1", 1)
				assert.Equal(t, test.known, s.delayOf("192.0.2.1", "karen") == 0)
			})
		})
	}
}

// A client may ask to act as a user who is known there. The password is that of another one, whom
// the delay concerns, and the same password for the next one is another guess.
func TestAGuessIsOneOfWhosePasswordItIs(t *testing.T) {
	for mech, message := range map[string]string{
		"PLAIN":         "mallory\x00user%d\x00guess",
		"SCRAM-SHA-256": "n,a=mallory,n=user%d,r=guess",
	} {
		t.Run(mech, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{}
				s := serveSessions(
					t, b, saslBackend(b, mech, 1, 0), &limits.Options{MaxGuessDelay: 15 * time.Second},
				)
				s.delayOf("192.0.2.1", "mallory")
				for i, want := range []time.Duration{0, 2, 4, 8, 15, 15} {
					took := elapsed(func() {
						answer := authenticate(s.dial("192.0.2.1"), mech, fmt.Sprintf(message, i))
						assert.Equal(t, authFailed, answer)
					})
					assert.Equal(t, want*time.Second, took)
				}
			})
		})
	}
}

// A wrong password that arrives while a login waits for a slot delays it as well, by whose password
// it brings.
func TestAWrongPasswordDuringTheWaitForASlot(t *testing.T) {
	for message, took := range map[string]time.Duration{
		"karen\x00mallory\x00pass": time.Second + 2*time.Second + time.Second,
		"mallory\x00karen\x00pass": time.Second + time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &backend{login: slowCheck(time.Second)}
			s := serveSessions(t, b, saslBackend(b, "PLAIN", 1, time.Second), &limits.Options{
				MaxGuessDelay: 15 * time.Second, MaxLoginChecks: 1,
			})
			s.delayOf("192.0.2.1", "karen")
			var guesser sync.WaitGroup
			guesser.Go(func() { s.wrong("192.0.2.1", 1) })
			synctest.Wait()
			assert.Equal(t, took, elapsed(func() {
				assert.Contains(t, authenticate(s.dial("192.0.2.1"), "PLAIN", message), "OK")
			}), "%q", message)
			guesser.Wait()
		})
	}
}

// The name from Options.Username is enough.
func TestWhomTheBackendNamesIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serveSessions(t, b, saslBackend(b, "EXTERNAL", 1, 0), &limits.Options{
			MaxGuessDelay: 15 * time.Second,
			Username:      func(imapserver.Session) string { return "karen" },
		})
		assert.Contains(t, authenticate(s.dial("192.0.2.1"), "EXTERNAL", "x"), "OK")
		s.wrong("192.0.2.1", 1)
		assert.Zero(t, s.delayOf("192.0.2.1", "karen"))
	})
}

// In a network with many users, one wrong password delays the others for a moment. Then they are
// checked one after another, each after the check before it.
func TestAWrongPasswordAmongManyUsersOfANetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{login: slowCheck(100 * time.Millisecond)}, limits.DefaultOptions())
		s.wrong("192.0.2.1", 1)
		var all sync.WaitGroup
		took := elapsed(func() {
			for i := range 50 {
				all.Go(func() { s.delayOf("192.0.2.1", fmt.Sprint("user", i)) })
			}
			all.Wait()
		})
		assert.Equal(t, 2*time.Second+50*100*time.Millisecond, took)
		took = elapsed(func() {
			s.wrong("192.0.2.1", 1)
			for i := range 50 {
				all.Go(func() { s.delayOf("192.0.2.1", fmt.Sprint("user", i)) })
			}
			all.Wait()
		})
		assert.LessOrEqual(t, took, 1500*time.Millisecond, "all are known by now")
	})
}

// The guesser's own right password does not undo the wrong guesses.
func TestLoggingInDoesNotEndTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{MaxGuessDelay: 15 * time.Second})
		s.delayOf("192.0.2.1", "mallory")
		for _, want := range []time.Duration{0, 2, 4, 8, 15, 15} {
			assert.Equal(t, want*time.Second, s.wrong("192.0.2.1", 1))
			s.try("192.0.2.1", "mallory", "pass")
		}
	})
}

func TestNetworksOfIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{MaxGuessDelay: 15 * time.Second})
		s.wrong("2001:db8:1:1::1", 1)
		assert.Equal(t, 2*time.Second, s.delayOf("2001:db8:1:1:ffff::2", "karen"), "the same /64")
		assert.Zero(t, s.delayOf("2001:db8:1:2::1", "karen"), "another one")

		// A /48 is delayed as a whole when many of its /64s have guessed.
		for i := 2; i <= 15; i++ {
			s.wrong(fmt.Sprintf("2001:db8:1:%x::1", i), 1)
		}
		assert.Zero(t, s.delayOf("2001:db8:1:99::1", "eve"))
		s.wrong("2001:db8:1:16::1", 1)
		assert.Equal(t, 2*time.Second, s.delayOf("2001:db8:1:99::1", "mallory"))
		for i, want := range []time.Duration{0, 4, 8, 15, 15} {
			took := s.wrong(fmt.Sprintf("2001:db8:1:%x::1", 0x100+i), 1)
			assert.Equal(t, want*time.Second, took)
		}
		assert.Equal(t, 15*time.Second, s.delayOf("2001:db8:1:abcd::1", "karen"))
		assert.Zero(t, s.delayOf("2001:db8:2:1::1", "karen"), "another /48")
		time.Sleep(16 * time.Minute)
		assert.Zero(t, s.wrong("2001:db8:1:abcd::1", 1))
		assert.Equal(t, 15*time.Second, s.delayOf("2001:db8:1:abce::1", "bob"), "there it is again")
		time.Sleep(4 * time.Hour)
		s.wrong("2001:db8:1:abcd::1", 1)
		assert.Zero(t, s.delayOf("2001:db8:1:abce::1", "eve"))
		assert.Equal(t, 2*time.Second, s.delayOf("2001:db8:1:abcd::1", "bob"))
	})
}

func TestWhoIsSparedTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{
			MaxGuessDelay: 15 * time.Second,
			Exempt:        []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")},
			IPKey: func(addr netip.Addr) netip.Prefix {
				if addr == netip.MustParseAddr("192.0.2.99") {
					return netip.Prefix{}
				}
				prefix, _ := addr.Prefix(16)
				return prefix
			},
		})
		for address, user := range map[string]string{"192.0.2.1": "a", "192.0.2.99": "b", "": "c"} {
			took := elapsed(func() { s.wrong(address, 5) })
			assert.Zero(t, took, address)
			assert.Zero(t, s.delayOf(address, user))
		}
		s.wrong("192.0.2.50", 4)
		assert.Zero(t, s.delayOf("192.0.2.51", "karen"), "whatever it is counted as otherwise")
		assert.Equal(t, 15*time.Second, s.delayOf("192.0.2.50", "karen"))
	})
}

func TestDryRunDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told recorder
		s := serve(t, &backend{}, &limits.Options{
			MaxGuessDelay: 15 * time.Second, DryRun: true, OnEvent: told.add,
		})
		took := elapsed(func() { s.wrong("192.0.2.1", 1) })
		assert.Zero(t, took)
		assert.Zero(t, s.delayOf("192.0.2.1", "karen"))
		events := told.all()
		assert.Equal(t, limits.Event{
			Kind: limits.EventDelayed, Command: "LOGIN", User: "karen", Waited: 2 * time.Second,
			Addr: netip.MustParseAddr("192.0.2.1"), Limit: "MaxGuessDelay", Max: "15s", DryRun: true,
		}, events[len(events)-1])
	})
}

// The wait ends as soon as there is no reason for it.
func TestWhatEndsTheDelay(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(s *server, o limits.Options)
		want string
		took time.Duration
	}{
		"nothing": {func(*server, limits.Options) {}, "OK", 15 * time.Second},
		"off": {func(s *server, o limits.Options) {
			o.MaxGuessDelay = 0
			s.limiter.SetOptions(&o)
		}, "OK", 3 * time.Second},
		"shorter": {func(s *server, o limits.Options) {
			o.MaxGuessDelay = 5 * time.Second
			s.limiter.SetOptions(&o)
		}, "OK", 5 * time.Second},
		"longer": {func(s *server, o limits.Options) {
			o.MaxGuessDelay = time.Hour
			s.limiter.SetOptions(&o)
		}, "OK", 16 * time.Second},
		"exempt": {func(s *server, o limits.Options) {
			o.Exempt = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
			s.limiter.SetOptions(&o)
		}, "OK", 3 * time.Second},
		"dry run": {func(s *server, o limits.Options) {
			o.DryRun = true
			s.limiter.SetOptions(&o)
		}, "OK", 3 * time.Second},
		"close": {
			func(s *server, _ limits.Options) { s.limiter.Close() }, noShuttingDown, 3 * time.Second,
		},
		"login timeout": {
			func(s *server, o limits.Options) { o.LoginTimeout = 5 * time.Second; s.limiter.SetOptions(&o) },
			"No login within the time allowed", 5 * time.Second,
		},
		"disconnect": {func(s *server, _ limits.Options) {
			s.limiter.Disconnect(s.limiter.Sessions()[0].ID, "bye")
		}, "bye", 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			for _, behind := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					options := limits.Options{MaxGuessDelay: 15 * time.Second}
					s := serve(t, &backend{}, &options)
					s.wrong("192.0.2.1", 4)
					c := s.dial("192.0.2.1")
					c.Send("a LOGIN karen pass")
					synctest.Wait()
					start := time.Now()
					if behind { // in the queue of its network
						s.dial("192.0.2.1").Send("a LOGIN bob pass")
						synctest.Wait()
						s.inUse(limits.Stats{Connections: 2, LoginsDelayed: 2})
					}
					time.Sleep(3 * time.Second)
					test.end(s, options)
					assert.Contains(t, c.Line(), test.want)
					assert.Equal(t, test.took, time.Since(start))
					time.Sleep(time.Minute)
					assert.Zero(t, s.limiter.Stats().LoginsDelayed)
				})
			}
		})
	}
}
