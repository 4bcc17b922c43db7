package limits_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// store counts the logins of several limiters, as another machine would.
type store struct {
	mu       sync.Mutex
	held     []*storeLease // in the order of their arrival
	acquired int           // calls of Acquire
	down     error         // the answer to every login, if set
	before   func()        // called first by Acquire
}

type storeLease struct {
	store *store
	limits.ClusterLogin
}

func (s *store) Acquire(login limits.ClusterLogin) (limits.ClusterLease, error) {
	if s.before != nil {
		s.before()
	}
	for _, older := range login.Replaces {
		older.Release()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acquired++
	err := s.refusalLocked(login)
	if errors.As(err, new(*imap.Error)) && !login.Exempt && !login.DryRun {
		return nil, err
	}
	in := &storeLease{s, login}
	s.held = append(s.held, in)
	return in, err
}

func (s *store) refusalLocked(login limits.ClusterLogin) error {
	var ofUser, ofNetwork int
	for _, in := range s.held {
		if in.User == login.User {
			ofUser++
		}
		if in.Network == login.Network {
			ofNetwork++
		}
	}
	switch {
	case s.down != nil:
		return s.down
	case login.MaxLoginsPerIP > 0 && login.Network.IsValid() && ofNetwork >= login.MaxLoginsPerIP:
		return limits.ErrTooManyIPLogins
	case login.MaxLoginsPerUser > 0 && login.User != "" && ofUser >= login.MaxLoginsPerUser:
		return limits.ErrTooManyUserLogins
	default:
		return nil
	}
}

func (l *storeLease) Release() {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	l.store.held = slices.DeleteFunc(l.store.held, func(in *storeLease) bool { return in == l })
}

func (s *store) Stats() limits.ClusterStats { return limits.ClusterStats{Leases: len(s.all())} }

// all returns the leases, the oldest first.
func (s *store) all() []*storeLease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.held)
}

// serveTwo returns two servers whose limiters use the store. Each limiter has its own copy of the
// options.
func serveTwo(t *testing.T, s *store, options limits.Options) (one, two *server) {
	options.Cluster = s
	t.Cleanup(func() { assert.Empty(t, s.all(), "leases") })
	return serve(t, &backend{}, &options), serve(t, &backend{}, &options)
}

func TestALimitHoldsOverAllLimitersOfACluster(t *testing.T) {
	for name, test := range map[string]struct {
		options limits.Options
		want    string
		event   limits.Event
	}{
		"user": {
			limits.Options{MaxLoginsPerUser: 2}, noUserLogins,
			limits.Event{User: "karen", Limit: "MaxLoginsPerUser"},
		},
		"address": {
			limits.Options{MaxLoginsPerIP: 2}, noIPLogins,
			limits.Event{User: "karen", Limit: "MaxLoginsPerIP"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var events []limits.Event
				test.options.OnEvent = func(e limits.Event) { events = append(events, e) }
				one, two := serveTwo(t, &store{}, test.options)
				first, answer := one.login("192.0.2.1", "karen")
				assert.Contains(t, answer, "OK")
				_, answer = two.login("192.0.2.1", "karen")
				assert.Contains(t, answer, "OK")

				third, answer := two.login("192.0.2.1", "karen")
				assert.Equal(t, test.want, answer)
				assert.Equal(t, []string{"* BYE" + strings.TrimPrefix(test.want, "NO")}, third.Rest())
				test.event.Kind, test.event.Command, test.event.Max = limits.EventRefused, "LOGIN", "2"
				test.event.Addr = netip.MustParseAddr("192.0.2.1")
				assert.Equal(t, []limits.Event{test.event}, events)
				refused := two.limiter.Stats().Refused
				assert.EqualValues(t, 1, refused.LoginsPerUser+refused.LoginsPerIP)
				synctest.Wait()
				two.inUse(limits.Stats{Connections: 1, Sessions: 1})

				first.Cmd("z LOGOUT")
				synctest.Wait()
				_, answer = two.login("192.0.2.1", "karen")
				assert.Contains(t, answer, "OK")
				one.Server.Close()
				two.Server.Close()
			})
		})
	}
}

func TestOnlyARightPasswordAsksTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &store{}
		s := serve(t, &backend{}, &limits.Options{MaxLoginsPerUser: 1, Cluster: cluster})
		c := s.dial("192.0.2.1")
		assert.Equal(t, authFailed, imaptest.Last(c.Cmd("a LOGIN karen wrong")))
		assert.Zero(t, cluster.acquired)
		assert.True(t, imaptest.IsOK(c.Cmd("b LOGIN karen pass")))
		_, answer := s.login("192.0.2.1", "karen")
		assert.Equal(t, noUserLogins, answer)
		assert.Equal(t, 1, cluster.acquired, "what the limiter refuses by itself is not asked for")
	})
}

func TestAClusterThatDoesNotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &store{down: errors.New("no answer")}
		var events []limits.Event
		s := serve(t, &backend{}, &limits.Options{
			MaxLoginsPerUser: 1, Cluster: cluster,
			OnEvent: func(e limits.Event) { events = append(events, e) },
		})
		karen, answer := s.login("192.0.2.1", "karen")
		assert.Contains(t, answer, "OK")
		_, answer = s.login("192.0.2.1", "karen")
		assert.Equal(t, noUserLogins, answer, "the limiter decides alone")
		assert.EqualValues(t, 1, s.limiter.Stats().Total.Undecided)
		assert.Len(t, cluster.all(), 1, "it can be counted later")
		karen.Close()
		synctest.Wait()
		assert.Empty(t, cluster.all())

		events = nil
		cluster.down = limits.ErrClusterUnavailable
		c, answer := s.login("192.0.2.1", "karen")
		const want = "[UNAVAILABLE] Logins cannot be counted now - try again later"
		assert.Equal(t, "NO "+want, answer)
		assert.Equal(t, []string{"* BYE " + want}, c.Rest())
		assert.EqualValues(t, 2, s.limiter.Stats().Total.Undecided)
		assert.EqualValues(t, 1, s.limiter.Stats().Refused.ClusterUnavailable)
		assert.Equal(t, []limits.Event{{
			Kind: limits.EventRefused, Command: "LOGIN", User: "karen",
			Addr: netip.MustParseAddr("192.0.2.1"),
		}}, events)
		assert.Empty(t, cluster.all())
	})
}

func TestADryRunOfACluster(t *testing.T) {
	for _, down := range []error{nil, limits.ErrClusterUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			var events []limits.Event
			cluster := &store{down: down}
			options := limits.Options{
				MaxLoginsPerUser: 1, DryRun: true, OnEvent: func(e limits.Event) { events = append(events, e) },
			}
			one, two := serveTwo(t, cluster, options)
			for range 2 {
				_, answer := one.login("192.0.2.1", "karen")
				assert.Contains(t, answer, "OK")
			}
			_, answer := two.login("192.0.2.1", "karen")
			assert.Contains(t, answer, "OK")
			assert.Len(t, cluster.all(), 3, "what is in use counts")
			if down == nil {
				assert.Len(t, events, 2, "each is told once, be it over one limit or both")
			} else {
				assert.Len(t, events, 3, "one without a limit, one over the limit, one without a limit")
			}
			for _, e := range events {
				assert.True(t, e.DryRun)
			}
			one.Server.Close()
			two.Server.Close()
		})
	}
}

// A login that is refused although it has got a lease gives it back with the answer, and not when
// its connection is closed.
func TestADryRunThatEndsWhileAClusterIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &store{}
		one, two := serveTwo(t, cluster, limits.Options{MaxLoginsPerUser: 1, DryRun: true})
		_, answer := one.login("192.0.2.1", "karen")
		assert.Contains(t, answer, "OK")
		cluster.before = func() {
			options := two.limiter.Options()
			options.DryRun = false
			assert.NoError(t, two.limiter.SetOptions(options))
		}
		_, answer = two.login("192.0.2.1", "karen")
		assert.Equal(t, noUserLogins, answer)
		assert.Len(t, cluster.all(), 1)
		one.Server.Close()
		two.Server.Close()
	})
}

func TestAClusterKnowsTheLimitsOfTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &store{}
		s := serve(t, &backend{}, &limits.Options{
			MaxLoginsPerUser: 1, MaxLoginsPerIP: 2, Cluster: cluster,
			Exempt: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
			LimitsFor: func(client limits.Client) limits.ClientLimits {
				if client.User == "service" {
					client.Limits.MaxLoginsPerUser = 5
				}
				return client.Limits
			},
		})
		s.login("192.0.2.1", "Karen")
		s.login("2001:db8::1", "service")
		s.login("198.51.100.1", "Karen")
		s.login("", "bob")
		type asked struct {
			user, network string
			perUser       int
			perIP         int
			exempt        bool
		}
		var got []asked
		for _, in := range cluster.all() {
			network := ""
			if in.Network.IsValid() {
				network = in.Network.String()
			}
			got = append(got, asked{in.User, network, in.MaxLoginsPerUser, in.MaxLoginsPerIP, in.Exempt})
		}
		assert.Equal(t, []asked{
			{"karen", "192.0.2.1/32", 1, 2, false}, {"service", "2001:db8::/64", 5, 2, false},
			{"karen", "198.51.100.1/32", 0, 0, true}, {"bob", "", 1, 2, false},
		}, got)
	})
}

func TestAClusterGetsBackWhatUnauthenticateGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &store{}
		b := &backend{}
		newSession := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return unauthenticating{&backendSession{backend: b}}, nil, nil
		}
		s := serveSessions(t, b, newSession, &limits.Options{MaxLoginsPerUser: 1, Cluster: cluster})
		c, _ := s.login("192.0.2.1", "karen")
		assert.True(t, imaptest.IsOK(c.Cmd("b UNAUTHENTICATE")))
		assert.Empty(t, cluster.all())
		assert.True(t, imaptest.IsOK(c.Cmd("c LOGIN bob pass")))
		if held := cluster.all(); assert.Len(t, held, 1) {
			assert.Equal(t, "bob", held[0].Info().User)
		}
	})
}

func TestAClusterCountsPreAuth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &store{}
		b := &backend{}
		newSession := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &backendSession{backend: b}, &imapserver.GreetingData{PreAuth: true}, nil
		}
		options := &limits.Options{
			MaxLoginsPerUser: 1, Cluster: cluster,
			Username: func(imapserver.Session) string { return "karen" },
		}
		one := serveSessions(t, b, newSession, options)
		two := serveSessions(t, b, newSession, options)
		assert.Contains(t, imaptest.NewConn(t, one.DialFrom("192.0.2.1")).Line(), "* PREAUTH")
		c := imaptest.NewConn(t, two.DialFrom("192.0.2.1"))
		assert.Equal(t, []string{"* BYE [LIMIT] Too many logins for this user"}, c.Rest())
		one.Server.Close()
		two.Server.Close()
	})
}

// The cluster is full, but this machine is not: a silent session on this machine makes room, in one
// step.
func TestASilentSessionMakesRoomInTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := limits.Options{MaxLoginsPerUser: 2, EvictIdle: 10 * time.Second}
		one, two := serveTwo(t, &store{}, options)
		one.login("192.0.2.1", "karen")
		silent, _ := two.login("192.0.2.1", "karen")
		newer := two.dial("192.0.2.1") // as silent at its login, but must not make room for itself
		time.Sleep(20 * time.Second)
		assert.True(t, imaptest.IsOK(newer.Cmd("a LOGIN karen pass")))
		assert.Equal(
			t, []string{"* BYE [LIMIT] A newer login of this user took the place of this idle session"},
			silent.Rest(),
		)
		synctest.Wait()
		assert.Equal(t, limits.Totals{Evicted: 1}, two.limiter.Stats().Total)
		two.inUse(limits.Stats{Connections: 1, Sessions: 1})

		_, answer := two.login("192.0.2.1", "karen")
		assert.Equal(t, noUserLogins, answer, "nobody here is silent any more")
		time.Sleep(20 * time.Second)
		_, answer = one.login("192.0.2.1", "karen")
		assert.Contains(t, answer, "OK")
		one.Server.Close()
		two.Server.Close()
	})
}

// The machine is full too: the place of a session that was evicted here is free in the cluster at
// once.
func TestEvictionGivesTheLeaseToTheNewSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := serveTwo(t, &store{}, limits.Options{MaxLoginsPerUser: 1, EvictIdle: time.Minute})
		one.login("192.0.2.1", "karen")
		time.Sleep(2 * time.Minute)
		_, answer := one.login("192.0.2.1", "karen")
		assert.Contains(t, answer, "OK")
		_, answer = two.login("192.0.2.1", "karen")
		assert.Equal(t, noUserLogins, answer)
		one.Server.Close()
		two.Server.Close()
	})
}

func TestASlowClusterDelaysNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &store{before: func() { time.Sleep(50 * time.Millisecond) }}
		s := serve(t, &backend{}, &limits.Options{MaxLoginsPerUser: 5, Cluster: cluster})
		s.dial("192.0.2.1").Send("a LOGIN karen pass")
		synctest.Wait() // in Acquire
		assert.Zero(t, elapsed(func() {
			s.inUse(limits.Stats{Connections: 1, Sessions: 1})
			s.limiter.Sessions()
			c := s.dial("192.0.2.1")
			assert.Equal(t, authFailed, imaptest.Last(c.Cmd("a LOGIN bob wrong")))
			assert.NoError(t, s.limiter.SetOptions(s.limiter.Options()))
		}))
		took := elapsed(func() {
			_, answer := s.login("192.0.2.1", "bob")
			assert.Contains(t, answer, "OK")
		})
		assert.Equal(t, 50*time.Millisecond, took)
	})
}

// A login that waits for the cluster has no slot for a check, which others need.
func TestASlowClusterTakesNoSlotForAPasswordCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &store{before: func() { time.Sleep(50 * time.Millisecond) }}
		s := serve(t, &backend{}, &limits.Options{
			MaxLoginsPerUser: 5, MaxLoginChecks: 1, MaxLoginChecksPerIP: 1, Cluster: cluster,
		})
		var all sync.WaitGroup
		for _, user := range []string{"karen", "bob", "karen", "eve"} {
			all.Go(func() {
				took := elapsed(func() {
					_, answer := s.login("192.0.2.1", user)
					assert.Contains(t, answer, "OK")
				})
				assert.Equal(t, 50*time.Millisecond, took, user)
			})
		}
		all.Wait()
		s.inUse(limits.Stats{Connections: 4, Sessions: 4})
	})
}

func TestAClusterThatPanicsKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &store{before: func() { panic("cluster") }}
		s := serve(t, &backend{}, &limits.Options{MaxLoginsPerUser: 1, Cluster: cluster})
		s.dial("192.0.2.1").Send("a LOGIN karen pass")
		synctest.Wait()
		s.inUse(limits.Stats{})
		assert.Contains(t, s.Log(), "panic")
	})
}

func TestAClusterSeesAndEndsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &store{}
		s := serve(t, &backend{}, &limits.Options{Cluster: cluster})
		cluster.before = func() {
			cluster.before = nil
			assert.False(t, s.limiter.Sessions()[0].LoggedIn, "not yet")
		}
		c, _ := s.login("192.0.2.1", "karen")
		held := cluster.all()
		if !assert.Len(t, held, 1) {
			return
		}
		assert.Equal(t, s.limiter.Sessions(), []limits.SessionInfo{held[0].Info()})
		held[0].Disconnect("for\r\nmaintenance")
		assert.Equal(t, []string{"* BYE for  maintenance"}, c.Rest())
		assert.Equal(t, limits.Totals{Disconnected: 1}, s.limiter.Stats().Total)
	})
}

func TestALeaseGoesBackToTheClusterThatGaveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &store{}, &store{}
		s := serve(t, &backend{}, &limits.Options{Cluster: first})
		c, _ := s.login("192.0.2.1", "karen")
		assert.NoError(t, s.limiter.SetOptions(&limits.Options{Cluster: second}))
		s.login("192.0.2.1", "karen")
		assert.Len(t, first.all(), 1)
		assert.Len(t, second.all(), 1)
		c.Cmd("z LOGOUT")
		synctest.Wait()
		assert.Empty(t, first.all())
		assert.Len(t, second.all(), 1)
	})
}

// A login that finds no room in the cluster gives up its place in the limiter. If DryRun lets it in
// after all, it counts.
func TestALoginThatDryRunLetsInWhileTheClusterIsAskedCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &store{down: limits.ErrTooManyUserLogins}
		options := &limits.Options{MaxLoginsPerUser: 5, Cluster: cluster}
		s := serve(t, &backend{}, options)
		cluster.before = func() {
			dryRun := *options
			dryRun.DryRun = true
			assert.NoError(t, s.limiter.SetOptions(&dryRun))
		}
		_, answer := s.login("192.0.2.1", "karen")
		assert.Contains(t, answer, "OK")
		assert.Equal(t, 1, s.limiter.Stats().Sessions)
	})
}
