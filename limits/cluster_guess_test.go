package limits_test

import (
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// guessStore is a store that also shares and remembers wrong passwords.
type guessStore struct {
	store
	key []byte

	mu    sync.Mutex
	tell  []func(netip.Prefix, uint64, time.Duration)
	told  []toldGuess
	turns map[netip.Prefix]time.Time // until when another machine has the turn
}

type toldGuess struct {
	network netip.Prefix
	guess   uint64
	at      time.Time
}

func (s *guessStore) GuessKey() []byte { return s.key }

func (s *guessStore) Hear(tell func(netip.Prefix, uint64, time.Duration)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell = append(s.tell, tell)
}

func (s *guessStore) Guessed(network netip.Prefix, guess uint64) {
	s.mu.Lock()
	s.told = append(s.told, toldGuess{network, guess, time.Now()})
	all := s.tell
	s.mu.Unlock()
	for _, tell := range all {
		tell(network, guess, 0)
	}
}

// Connected takes a while, as asking another machine does.
func (s *guessStore) Connected(network netip.Prefix) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.told) == 0 {
		return nil
	}
	known, tell := make(chan struct{}), s.tell[len(s.tell)-1]
	time.AfterFunc(time.Millisecond, func() {
		defer close(known)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, g := range s.told {
			if g.network == network {
				tell(network, g.guess, time.Since(g.at))
			}
		}
	})
	return known
}

func (s *guessStore) Turn(network netip.Prefix, every time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := time.Until(s.turns[network]); wait > 0 {
		return wait
	}
	if s.turns == nil {
		s.turns = make(map[netip.Prefix]time.Time)
	}
	s.turns[network] = time.Now().Add(every)
	return 0
}

// silentStore never says what it knows of a network.
type silentStore struct{ guessStore }

func (*silentStore) Connected(netip.Prefix) <-chan struct{} { return make(chan struct{}) }

// hastyStore tells of a wrong password as soon as somebody hears.
type hastyStore struct{ guessStore }

func (*hastyStore) Hear(tell func(netip.Prefix, uint64, time.Duration)) {
	tell(netip.MustParsePrefix("192.0.2.1/32"), 1, 0)
}

// attentiveStore notes when somebody begins to hear.
type attentiveStore struct {
	guessStore
	hears func()
}

func (s *attentiveStore) Hear(func(netip.Prefix, uint64, time.Duration)) { s.hears() }

// A store is asked what it knows of a network from the moment that the options hold, so the limiter
// hears of wrong passwords before that.
func TestALimiterHearsOfWrongPasswordsBeforeItAsks(t *testing.T) {
	limiter := limits.New(nil)
	defer limiter.Close()
	heard := false
	store := &attentiveStore{hears: func() {
		heard = true
		assert.Nil(t, limiter.Options().Cluster)
	}}
	require.NoError(t, limiter.SetOptions(&limits.Options{MaxGuessDelay: time.Second, Cluster: store}))
	assert.True(t, heard)
	assert.Same(t, store, limiter.Options().Cluster)
}

// A wrong password that a store tells at once delays by the options that are being set.
func TestAWrongPasswordThatIsToldAtOnceCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{MaxGuessDelay: 15 * time.Second, Cluster: &hastyStore{}}
		s := serve(t, &backend{}, options)
		assert.Equal(t, 2*time.Second, s.tryPassword("192.0.2.1", "karen", "pass"))
	})
}

// tryPassword returns how long the server takes to answer a login from the address.
func (s *server) tryPassword(address, user, password string) time.Duration {
	return elapsed(func() {
		c := s.dial(address)
		c.Cmd("a LOGIN " + user + " " + password)
		c.Close()
	})
}

func TestAGuessDelaysTheNextOneOnAnotherMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{MaxGuessDelay: 15 * time.Second, Cluster: &guessStore{}}
		one, two := serve(t, &backend{}, options), serve(t, &backend{}, options)
		assert.Zero(t, one.tryPassword("192.0.2.1", "karen", "wrong"))
		assert.Equal(t, 2*time.Second, two.tryPassword("192.0.2.1", "bob", "wrong"))
		assert.Equal(t, 4*time.Second, one.tryPassword("192.0.2.1", "eve", "wrong"))
		took := two.tryPassword("192.0.2.2", "karen", "pass")
		assert.Equal(t, time.Millisecond, took, "other networks do not wait, but until that is known")
	})
}

// A machine that has just started asks for earlier wrong passwords, and learns their age.
func TestANewMachineKnowsOfEarlierGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{MaxGuessDelay: 15 * time.Second, Cluster: &guessStore{}}
		one := serve(t, &backend{}, options)
		one.tryPassword("192.0.2.1", "karen", "wrong")
		one.tryPassword("192.0.2.1", "bob", "wrong")
		time.Sleep(time.Second)
		two := serve(t, &backend{}, options)
		assert.Equal(t, 3*time.Second, two.tryPassword("192.0.2.1", "karen", "pass"))

		time.Sleep(2 * time.Hour)
		three := serve(t, &backend{}, options)
		took := three.tryPassword("192.0.2.1", "karen", "pass")
		assert.Equal(t, time.Millisecond, took, "forgiven")
	})
}

func TestTheSameGuessOnAnotherMachineDoesNotCount(t *testing.T) {
	for key, want := range map[string]time.Duration{"": 4 * time.Second, "shared": 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			cluster := &guessStore{}
			if key != "" {
				cluster.key = []byte(key)
			}
			options := &limits.Options{MaxGuessDelay: 15 * time.Second, Cluster: cluster}
			one, two := serve(t, &backend{}, options), serve(t, &backend{}, options)
			one.tryPassword("192.0.2.1", "karen", "old")
			time.Sleep(time.Minute)
			two.tryPassword("192.0.2.1", "karen", "old")
			assert.Equal(t, want, one.tryPassword("192.0.2.1", "karen", "older"))
		})
	}
}

// When the delay is over, the machines take turns; not each of them makes a check.
func TestMachinesTakeTurnsWithAGuesser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{MaxGuessDelay: 15 * time.Second, Cluster: &guessStore{}}
		servers := []*server{
			serve(t, &backend{}, options), serve(t, &backend{}, options), serve(t, &backend{}, options),
		}
		for _, password := range []string{"a", "b", "c", "d"} {
			servers[0].tryPassword("192.0.2.1", "karen", password)
		}
		var before int64
		for _, s := range servers {
			before += s.checks.Load()
		}
		start := time.Now()
		stop := make(chan struct{})
		time.AfterFunc(150*time.Second, func() { close(stop) })
		var all sync.WaitGroup
		for _, s := range servers {
			for i := range 5 {
				all.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
						}
						c := s.dial("192.0.2.1")
						c.Cmd("a LOGIN karen " + string(rune('a'+i)) + time.Since(start).String())
						c.Close()
					}
				})
			}
		}
		all.Wait()
		var checks int64
		for _, s := range servers {
			checks += s.checks.Load()
		}
		most := int64(time.Since(start)/(15*time.Second)) + 1
		assert.LessOrEqual(t, checks-before, most, "one in 15 s, on all of them")
		assert.GreaterOrEqual(t, checks-before, int64(5))
	})
}

func TestATurnThatDoesNotComeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &guessStore{}
		options := &limits.Options{MaxGuessDelay: 15 * time.Second, Cluster: cluster}
		s := serve(t, &backend{}, options)
		s.tryPassword("192.0.2.1", "karen", "wrong")
		cluster.Turn(netip.MustParsePrefix("192.0.2.1/32"), time.Hour)
		c := s.dial("192.0.2.1")
		took := elapsed(func() {
			assert.Equal(
				t, "NO [UNAVAILABLE] Too many wrong passwords from this address - try again later",
				imaptest.Last(c.Cmd("a LOGIN bob pass")),
			)
		})
		assert.Equal(t, 30*time.Second, took)
		assert.EqualValues(t, 1, s.limiter.Stats().Refused.Guesses)
	})
}

// A store that never answers delays the first login of a connection, but not for ever.
func TestAStoreThatNeverSaysWhatItKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{MaxGuessDelay: 15 * time.Second, Cluster: &silentStore{}}
		s := serve(t, &backend{}, options)
		c := s.dial("192.0.2.1")
		took := elapsed(func() {
			assert.Equal(t, authFailed, imaptest.Last(c.Cmd("a LOGIN karen wrong")))
		})
		assert.Equal(t, 5*time.Second, took)
		took = elapsed(func() { assert.True(t, imaptest.IsOK(c.Cmd("b LOGIN karen pass"))) })
		assert.Equal(t, 2*time.Second, took, "only for its wrong password")
	})
}

func TestWhatEndsTheWaitForAStoreThatNeverSaysWhatItKnows(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(s *server, o limits.Options)
		want string
	}{
		"close": {func(s *server, _ limits.Options) { s.limiter.Close() }, noShuttingDown},
		"login timeout": {
			func(s *server, o limits.Options) { o.LoginTimeout = time.Second; s.limiter.SetOptions(&o) },
			"No login within the time allowed",
		},
		"disconnect": {func(s *server, _ limits.Options) {
			s.limiter.Disconnect(s.limiter.Sessions()[0].ID, "bye")
		}, "bye"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				options := limits.Options{MaxGuessDelay: 15 * time.Second, Cluster: &silentStore{}}
				s := serve(t, &backend{}, &options)
				c := s.dial("192.0.2.1")
				c.Send("a LOGIN karen pass")
				time.Sleep(time.Second)
				took := elapsed(func() {
					test.end(s, options)
					assert.Contains(t, c.Line(), test.want)
				})
				assert.Zero(t, took)
				time.Sleep(time.Minute)
				s.inUse(limits.Stats{})
				assert.Zero(t, s.checks.Load())
			})
		})
	}
}

// Who is exempt, also since after the connection, never waits, nor does anybody under DryRun.
func TestWhoNeverWaitsDoesNotWaitForACluster(t *testing.T) {
	for name, spare := range map[string]func(*limits.Options){
		"DryRun": func(o *limits.Options) { o.DryRun = true },
		"Exempt": func(o *limits.Options) {
			o.Exempt = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		},
	} {
		for _, connected := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				options := &limits.Options{MaxGuessDelay: time.Minute, Cluster: &silentStore{}}
				if !connected {
					spare(options)
				}
				s := serve(t, &backend{}, options)
				c := s.dial("192.0.2.1")
				spare(options)
				assert.NoError(t, s.limiter.SetOptions(options))
				took := elapsed(func() { assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass"))) })
				assert.Zero(t, took, "%s, connected before: %v", name, connected)
			})
		}
	}
}
