package limits_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

const noChecks = "NO [UNAVAILABLE] Too many logins at once - try again later"

// checked returns a backend that counts its running password checks.
func checked(took time.Duration) (*backend, *work) {
	w := newWork(took)
	check := slowCheck(0)
	return &backend{login: func(username, password string) error {
		w.do("")
		return check(username, password)
	}}, w
}

func TestMaxLoginChecks(t *testing.T) {
	for name, test := range map[string]struct {
		addresses, atOnce int
		took              time.Duration
	}{
		"300 names from one address":   {1, 4, 75 * time.Second / 10},
		"300 names from 100 addresses": {100, 16, 19 * time.Second / 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, w := checked(100 * time.Millisecond)
				options := limits.DefaultOptions()
				options.MaxGuessDelay = 0 // or most would wait for that
				s := serve(t, b, options)
				took := elapsed(func() {
					var all sync.WaitGroup
					for i := range 300 {
						address := fmt.Sprintf("203.0.113.%d", i%test.addresses)
						all.Go(func() {
							c := s.dial(address)
							assert.Equal(t, authFailed, imaptest.Last(c.Cmd(fmt.Sprintf("a LOGIN user%d guess", i))))
						})
					}
					all.Wait()
				})
				assert.Equal(t, test.atOnce, w.most)
				assert.Equal(t, test.took, took)
			})
		})
	}
}

// However many logins wait, a login from another network waits only for a free slot, and for the
// networks before it in the round.
func TestALoginWaitsForOneTurnAndNotForTheStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := checked(time.Second)
		options := limits.DefaultOptions()
		options.MaxGuessDelay = 0 // or most would wait for that
		s := serve(t, b, options)
		for i := range 300 {
			c := s.dial(fmt.Sprintf("203.0.113.%d", i%10))
			c.Send(fmt.Sprintf("a LOGIN user%d guess", i))
		}
		synctest.Wait()
		s.inUse(limits.Stats{Connections: 300, LoginChecks: 16, LoginsWaiting: 284})
		took := elapsed(func() {
			_, answer := s.login("192.0.2.1", "karen")
			assert.Contains(t, answer, "OK")
		})
		assert.Equal(t, 2*time.Second, took, "a slot, and the own check")
	})
}

// Logins that wait for others of their pair of a user and an address need no slot for a check.
func TestLoginsThatWaitForOthersHoldNoCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, w := checked(time.Second)
		s := serve(t, b, &limits.Options{MaxLoginsPerUser: 20, MaxLoginChecks: 2, MaxLoginChecksPerIP: 2})
		for range 20 {
			s.dial("192.0.2.1").Send("a LOGIN karen guess")
		}
		synctest.Wait()
		s.inUse(limits.Stats{Connections: 20, LoginChecks: 1, LoginsWaiting: 19})
		took := elapsed(func() {
			_, answer := s.login("192.0.2.1", "bob")
			assert.Contains(t, answer, "OK")
		})
		assert.Equal(t, time.Second, took)
		w.mu.Lock()
		defer w.mu.Unlock()
		assert.Equal(t, 2, w.most)
	})
}

func TestALoginThatWaitsTooLongForItsCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []limits.Event
		b, w := checked(59 * time.Second)
		s := serve(t, b, &limits.Options{
			MaxLoginChecks: 1, MaxFailedLogins: 1,
			OnEvent: func(e limits.Event) { events = append(events, e) },
		})
		s.dial("192.0.2.1").Send("a LOGIN karen pass")
		synctest.Wait()
		c := s.dial("192.0.2.2")
		start := time.Now()
		assert.Equal(t, []string{"a " + noChecks}, c.Cmd("a LOGIN bob pass"), "and no notice")
		assert.Equal(t, 30*time.Second, time.Since(start))
		require.Len(t, events, 1)
		assert.Equal(t, limits.Event{
			Kind: limits.EventTimedOut, Command: "LOGIN", User: "bob",
			Addr: netip.MustParseAddr("192.0.2.2"), Waited: 30 * time.Second, Limit: "MaxLoginChecks",
			Max: "1",
		}, events[0])
		assert.EqualValues(t, 1, s.limiter.Stats().Refused.LoginChecks)
		assert.Zero(t, s.limiter.Stats().Refused.FailedLogins, "that was no wrong password")

		// The client may try again.
		w.mu.Lock()
		w.took = time.Second
		w.mu.Unlock()
		assert.True(t, imaptest.IsOK(c.Cmd("b LOGIN bob pass")))
		assert.Equal(t, time.Minute, time.Since(start))
	})
}

// A login waits 20 s for another one of its user, and 10 s for a check that somebody else makes.
func TestALoginWaitsForAllOthersTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, w := checked(20 * time.Second)
		s := serve(t, b, &limits.Options{MaxLoginChecks: 1, MaxLoginsPerUser: 5})
		s.dial("192.0.2.1").Send("a LOGIN karen pass")
		synctest.Wait()
		w.mu.Lock()
		w.took = 30 * time.Second
		w.mu.Unlock()
		s.dial("192.0.2.2").Send("a LOGIN bob pass")
		synctest.Wait()
		c := s.dial("192.0.2.1")
		took := elapsed(func() {
			assert.Equal(t, []string{"a " + noChecks}, c.Cmd("a LOGIN karen pass"))
		})
		assert.Equal(t, 30*time.Second, took)
		time.Sleep(20 * time.Second)
		assert.True(t, imaptest.IsOK(c.Cmd("b LOGIN karen pass")), "the client may try again")
	})
}

// The delay after wrong passwords is not a wait for others.
func TestADelayedLoginStillHasItsTimeForACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{login: func(username, password string) error {
			if username == "bob" {
				time.Sleep(35 * time.Second)
			}
			return slowCheck(0)(username, password)
		}}
		s := serve(t, b, &limits.Options{MaxGuessDelay: time.Minute, MaxLoginChecks: 1})
		s.wrong("192.0.2.1", 6)
		c := s.dial("192.0.2.1")
		start := time.Now()
		c.Send("a LOGIN karen pass")
		time.Sleep(50 * time.Second)
		s.dial("192.0.2.9").Send("a LOGIN bob pass")
		assert.True(t, imaptest.IsOK(c.Answer("a")))
		assert.Equal(t, 85*time.Second, time.Since(start))
	})
}

// The server gives LOGIN and AUTHENTICATE 30 s from their arrival, and the wait has used that up.
func TestALoginHasItsTimeWhenItsTurnComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{login: slowCheck(29 * time.Second)}
		s := serveSessions(
			t, b, saslBackend(b, "SCRAM-SHA-256", 3, 0), &limits.Options{MaxLoginChecks: 1},
		)
		s.dial("192.0.2.1").Send("a LOGIN karen pass")
		synctest.Wait()
		c := s.dial("192.0.2.2")
		c.Send("a AUTHENTICATE SCRAM-SHA-256")
		assert.Contains(t, c.Line(), "+ ")
		time.Sleep(10 * time.Second)
		start := time.Now()
		c.Send(b64("n,,n=bob,r=nonce"))
		assert.Contains(t, c.Line(), "+ ")
		assert.Equal(t, 19*time.Second, time.Since(start))
		time.Sleep(20 * time.Second)
		c.Send(b64("c=biws,r=nonce,p=proof"))
		assert.Contains(t, c.Line(), "+ ")
		c.Send("")
		assert.True(t, imaptest.IsOK(c.Answer("a")))
	})
}

// slowSteps is SCRAM whose server takes a second for each message of the client.
type slowSteps struct{ messages int }

func (s *slowSteps) Next(response []byte) ([]byte, bool, error) {
	if response == nil {
		return nil, false, nil
	}
	s.messages++
	time.Sleep(time.Second)
	return nil, s.messages == 3, nil
}

// Each step of an exchange may be the check. Between two steps there is no check, even while a
// client that has sent its proof keeps its place among the logins of its user.
func TestChecksOfSASLExchanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serveSessions(
			t, b,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return saslSession{&backendSession{backend: b}, map[string]func() sasl.Server{
					"SCRAM-SHA-256": func() sasl.Server { return &slowSteps{} },
				}}, nil, nil
			},
			&limits.Options{MaxLoginsPerUser: 5, MaxLoginChecks: 1},
		)
		karen, bob := s.dial("192.0.2.1"), s.dial("192.0.2.2")
		took := elapsed(func() {
			karen.Send("a AUTHENTICATE SCRAM-SHA-256")
			karen.Line()
		})
		assert.Zero(t, took, "the client has not said anything yet")
		karen.Send(b64("n,,n=karen,r=nonce"))
		synctest.Wait()
		bob.Send("a AUTHENTICATE SCRAM-SHA-256 " + b64("n,,n=bob,r=nonce"))
		synctest.Wait()
		s.inUse(limits.Stats{Connections: 2, LoginChecks: 1, LoginsWaiting: 1})
		karen.Line()
		karen.Send(b64("c=biws,r=nonce,p=proof"))
		assert.Equal(t, time.Second, elapsed(func() { bob.Line() }), "one step of karen's came before")
		assert.Equal(t, time.Second, elapsed(func() { karen.Line() }), "and one of bob's")
		s.inUse(limits.Stats{Connections: 2, LoginChecks: 1})
		took = elapsed(func() {
			bob.Send(b64("c=biws,r=nonce,p=proof"))
			bob.Line()
		})
		assert.Equal(t, time.Second, took, "who is proven keeps nobody from a check")
		karen.Send("")
		assert.True(t, imaptest.IsOK(karen.Answer("a")))
		time.Sleep(time.Minute)
		s.inUse(limits.Stats{Connections: 2, Sessions: 1})
	})
}

func TestALoginThatPanicsGivesItsCheckBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{login: func(string, string) error { panic("broken") }}
		s := serveSessions(
			t, b, saslBackend(b, "PANIC", 1, 0), &limits.Options{MaxLoginChecks: 1, MaxLoginsPerUser: 2},
		)
		for range 3 {
			c := s.dial("192.0.2.1")
			c.Send("a LOGIN karen pass")
			assert.Empty(t, c.Rest())
		}
	})
}

func TestAReportOfDryRunThatPanicsKeepsNoCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := checked(40 * time.Second)
		s := serve(t, b, panicking(limits.Options{MaxLoginChecks: 1, MaxLoginsPerUser: 1}))
		for _, address := range []string{"192.0.2.1", "192.0.2.2"} {
			s.dial(address).Send("a LOGIN karen pass")
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		assert.Contains(t, s.Log(), "OnEvent is broken")
		assert.Zero(t, s.limiter.Stats().LoginChecks)
	})
}

func TestALoginLeavesWhenItsClientHangsUpWhileItWaitsForItsCheck(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	checking, finish := make(chan struct{}, 9), make(chan struct{})
	b := &backend{login: func(string, string) error {
		checking <- struct{}{}
		<-finish
		return nil
	}}
	limiter := limits.New(&limits.Options{MaxLoginChecks: 1})
	address := listenTCP(t, plain, limiter.Wrap(b.NewSession))
	var conns []*imaptest.Conn
	for i, user := range []string{"karen", "bob"} {
		c := imaptest.DialTCP(t, address)
		c.Send("a LOGIN " + user + " pass")
		if i == 0 {
			<-checking
		}
		conns = append(conns, c)
	}
	for limiter.Stats().LoginsWaiting == 0 {
		runtime.Gosched()
	}
	conns[1].Close()
	for limiter.Stats().Total.Left == 0 {
		runtime.Gosched()
	}
	assert.Zero(t, limiter.Stats().LoginsWaiting)
	close(finish)
	assert.Contains(t, conns[0].Line(), "a OK")
	assert.EqualValues(t, 1, b.checks.Load())
	assert.EqualValues(t, 1, limiter.Stats().Total.Left)
}

func TestChecksUnderChangingOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var kinds []limits.EventKind
		options := limits.Options{MaxLoginChecksPerIP: 1, OnEvent: func(e limits.Event) {
			mu.Lock()
			defer mu.Unlock()
			kinds = append(kinds, e.Kind)
		}}
		b, w := checked(40 * time.Second)
		s := serve(t, b, &options)
		s.limiter.SetOptions(&options)
		atOnce := func(want int) {
			t.Helper()
			synctest.Wait()
			assert.Equal(t, want, s.limiter.Stats().LoginChecks)
		}
		running := func(want int) {
			t.Helper()
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			assert.Equal(t, want, w.atOnce)
		}
		for i := range 10 {
			s.dial("192.0.2.1").Send(fmt.Sprintf("a LOGIN user%d pass", i))
			synctest.Wait()
		}
		atOnce(1)
		options.MaxLoginChecksPerIP = 3
		s.limiter.SetOptions(&options)
		atOnce(3)
		options.LimitsFor = func(c limits.Client) limits.ClientLimits {
			c.Limits.MaxLoginChecksPerIP = 5
			return c.Limits
		}
		s.limiter.SetOptions(&options)
		atOnce(5)
		options.Exempt = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		s.limiter.SetOptions(&options)
		atOnce(10)
		running(10)
		time.Sleep(time.Minute)

		// Under DryRun nobody waits, and what would have been refused is reported.
		options.Exempt, options.LimitsFor, options.DryRun = nil, nil, true
		options.MaxLoginChecksPerIP = 1
		s.limiter.SetOptions(&options)
		mu.Lock()
		kinds = nil
		mu.Unlock()
		for range 3 {
			s.dial("192.0.2.1").Send("a LOGIN karen pass")
		}
		running(3)
		time.Sleep(time.Minute)
		mu.Lock()
		assert.Equal(t, []limits.EventKind{limits.EventTimedOut, limits.EventTimedOut}, kinds)
		mu.Unlock()

		options.DryRun = false
		s.limiter.SetOptions(&options)
		for range 3 {
			s.dial("192.0.2.1").Send("a LOGIN karen pass")
		}
		atOnce(1)
		options.DryRun = true
		s.limiter.SetOptions(&options)
		atOnce(3)
		time.Sleep(time.Minute)
	})
}

// A connection without an address takes turns of its own, and has no limit of its own.
func TestChecksOfConnectionsWithoutAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, w := checked(time.Second)
		s := serve(t, b, &limits.Options{MaxLoginChecksPerIP: 1, MaxLoginChecks: 3})
		var all sync.WaitGroup
		for range 6 {
			c := s.dial("")
			all.Go(func() { c.Cmd("a LOGIN karen pass") })
		}
		all.Wait()
		assert.Equal(t, 3, w.most)
	})
}

// While a stranger guesses on 300 connections without a pause, a login takes only as long as its
// check.
func TestGuessersDoNotDelayALoginFromAnotherNetwork(t *testing.T) {
	for _, delay := range []time.Duration{0, 15 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			options := limits.DefaultOptions()
			options.MaxGuessDelay = delay
			b, _ := checked(100 * time.Millisecond)
			s := serve(t, b, options)
			var over atomic.Bool
			var all sync.WaitGroup
			for i := range 300 {
				all.Go(func() {
					for n := 0; !over.Load(); n++ {
						c := s.dial("203.0.113.9")
						c.Cmd(fmt.Sprintf("a LOGIN user%d guess%d", 300*n+i, n))
						c.Close()
						time.Sleep(time.Millisecond) // until the server has noticed
					}
				})
			}
			time.Sleep(time.Second)
			for range 100 {
				assert.Equal(t, 100*time.Millisecond, s.delayOf("192.0.2.1", "karen"))
			}
			over.Store(true)
			all.Wait()
		})
	}
}
