package limits_test

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// releaseBreaks is a store whose leases panic when they are given back.
type releaseBreaks struct{ store }

func (s *releaseBreaks) Acquire(login limits.ClusterLogin) (limits.ClusterLease, error) {
	held, err := s.store.Acquire(login)
	return &brokenLease{held}, err
}

type brokenLease struct{ limits.ClusterLease }

func (l *brokenLease) Release() {
	l.ClusterLease.Release()
	panic("Release is broken")
}

// Whatever ends the session, it keeps none of its places.
func TestALeaseWhoseReleasePanicsKeepsNoOtherPlace(t *testing.T) {
	for _, end := range []string{"z LOGOUT", "z UNAUTHENTICATE", ""} {
		synctest.Test(t, func(t *testing.T) {
			b := &backend{}
			options := &limits.Options{MaxConnections: 1, MaxLoginsPerUser: 1, Cluster: &releaseBreaks{}}
			newSession := func(*imapserver.Conn) (
				imapserver.Session, *imapserver.GreetingData, error,
			) {
				return unauthenticating{&backendSession{backend: b}}, nil, nil
			}
			s := serveSessions(t, b, newSession, options)
			for range 2 {
				c, answer := s.login("192.0.2.1", "karen")
				assert.Contains(t, answer, "OK")
				if end != "" {
					c.Send(end)
				} else {
					c.Close()
				}
				c.Rest()
				synctest.Wait()
				s.inUse(limits.Stats{})
				assert.Empty(t, s.limiter.Sessions())
			}
		})
	}
}

// A cluster that panics may not have given back the leases of sessions that made room, and nobody
// else has them any more.
func TestAClusterThatPanicsKeepsNoLeaseThatIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &store{}
		s := serve(t, &backend{}, &limits.Options{
			MaxLoginsPerUser: 1, EvictIdle: time.Minute, Cluster: cluster,
		})
		s.login("192.0.2.1", "karen")
		time.Sleep(2 * time.Minute)
		cluster.before = func() { panic("Acquire is broken") }
		c := s.dial("192.0.2.1")
		c.Send("a LOGIN karen pass")
		c.Rest()
		synctest.Wait()
		s.inUse(limits.Stats{})
		assert.Empty(t, cluster.all())
	})
}

// A cluster ends a session in a goroutine of its own, which nothing protects from a panic.
func TestACallbackThatPanicsWhileAClusterEndsASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &store{}
		options := &limits.Options{Cluster: cluster}
		s := serve(t, &backend{}, options)
		c, _ := s.login("192.0.2.1", "karen")
		options.OnEvent = func(limits.Event) { panic("OnEvent is broken") }
		assert.NoError(t, s.limiter.SetOptions(options))
		go cluster.all()[0].Disconnect("for maintenance")
		c.Rest()
		synctest.Wait()
		s.inUse(limits.Stats{})
	})
}

func TestDisconnectEndsTheSessionAlsoIfOnEventPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{OnEvent: func(limits.Event) { panic("broken") }})
		c, _ := s.login("192.0.2.1", "karen")
		assert.Panics(t, func() { s.limiter.Disconnect(s.limiter.Sessions()[0].ID, "for maintenance") })
		assert.Equal(t, []string{"* BYE for maintenance"}, c.Rest())
		synctest.Wait()
		s.inUse(limits.Stats{})
	})
}

// The server does not know a session that comes with a panic, so it cannot close it.
func TestAPreAuthSessionIsClosedIfACallbackPanics(t *testing.T) {
	for name, options := range map[string]*limits.Options{
		"Username":  {Username: func(imapserver.Session) string { panic("broken") }},
		"LimitsFor": nil,
		"cluster":   {Cluster: &store{before: func() { panic("broken") }}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if options == nil {
					options = &limits.Options{
						Username: func(imapserver.Session) string { return "karen" },
						LimitsFor: func(c limits.Client) limits.ClientLimits {
							if c.User != "" {
								panic("broken")
							}
							return c.Limits
						},
					}
				}
				b := &backend{}
				newSession := func(*imapserver.Conn) (
					imapserver.Session, *imapserver.GreetingData, error,
				) {
					return &backendSession{backend: b}, &imapserver.GreetingData{PreAuth: true}, nil
				}
				s := serveSessions(t, b, newSession, options)
				assert.Empty(t, s.Dial().Rest())
				assert.EqualValues(t, 1, b.closes.Load())
			})
		})
	}
}

// LimitsFor fails for one of two connected users. The new limits hold for everybody else, and for
// commands that wait.
func TestSetOptionsAppliesWhollyIfLimitsForPanicsForOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{fetch: newWork(time.Minute).do}
		options := &limits.Options{MaxFetches: 1, MaxLoginsPerUser: 1}
		s := serve(t, b, options)
		broken, _ := s.login("192.0.2.1", "bob")
		running, waiting := s.selected("karen"), s.selected("eve")
		running.Send("f FETCH 1 FLAGS")
		synctest.Wait()
		waiting.Send("f FETCH 1 FLAGS")
		synctest.Wait()
		s.inUse(limits.Stats{Connections: 3, Sessions: 3, Fetches: 1, FetchesWaiting: 1})

		options.MaxFetches, options.MaxLoginsPerUser = 2, 2
		options.LimitsFor = func(c limits.Client) limits.ClientLimits {
			if c.User == "bob" {
				panic("LimitsFor is broken")
			}
			return c.Limits
		}
		assert.NoError(t, s.limiter.SetOptions(options))
		synctest.Wait()
		s.inUse(limits.Stats{Connections: 2, Sessions: 2, Fetches: 2})
		assert.Empty(t, broken.Rest())
		_, answer := s.login("192.0.2.1", "karen")
		assert.Contains(t, answer, "OK")
	})
}

// hearsAtOnce is a cluster that has heard of a wrong password before the limiter listens.
type hearsAtOnce struct{ guessStore }

func (s *hearsAtOnce) Hear(tell func(netip.Prefix, uint64, time.Duration)) {
	s.guessStore.Hear(tell)
	tell(netip.MustParsePrefix("192.0.2.1/32"), 7, 0)
}

func TestAClusterMayTellOfGuessesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{
			MaxGuessDelay: time.Minute, Cluster: &hearsAtOnce{},
		})
		_, answer := s.login("192.0.2.1", "karen")
		assert.Contains(t, answer, "OK")
	})
}

// A login that waits for the cluster is no idle session, however long its client was silent before.
func TestALoginThatWaitsForTheClusterIsNotEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		cluster := &store{}
		s := serve(t, &backend{}, &limits.Options{
			MaxLoginsPerUser: 1, EvictIdle: 10 * time.Second, Cluster: cluster,
		})
		older, newer := s.dial("192.0.2.1"), s.dial("192.0.2.2")
		time.Sleep(20 * time.Second)
		cluster.before = func() {
			if asked.Add(1) == 1 {
				time.Sleep(time.Second)
			}
		}
		older.Send("a LOGIN karen pass")
		synctest.Wait()
		assert.Equal(t, noUserLogins, imaptest.Last(newer.Cmd("a LOGIN karen pass")))
		assert.True(t, imaptest.IsOK(older.Answer("a")))
		assert.True(t, imaptest.IsOK(older.Cmd("b NOOP")))
	})
}

// SetOptions asks LimitsFor about a client that logs in meanwhile. The answer must not hold for the
// user.
func TestLimitsOfAnEarlierIdentityNeverHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{fetch: newWork(time.Minute).do}, &limits.Options{})
		c := s.dial("192.0.2.1")
		var strangers, karens atomic.Int32
		go s.limiter.SetOptions(&limits.Options{LimitsFor: func(c limits.Client) limits.ClientLimits {
			switch {
			case c.User == "" && strangers.Add(1) == 1:
				time.Sleep(time.Second)
			case c.User == "karen":
				c.Limits.MaxFetchesPerUser = 1
				if karens.Add(1) == 3 { // of SetOptions, which has found out that somebody has logged in
					time.Sleep(10 * time.Second)
				}
			}
			return c.Limits
		}})
		synctest.Wait()
		s.selected("karen").Send("f FETCH 1 FLAGS")
		c.Cmd("a LOGIN karen pass")
		c.Cmd("b SELECT INBOX")
		time.Sleep(2 * time.Second)
		c.Send("f FETCH 1 FLAGS")
		synctest.Wait()
		s.inUse(limits.Stats{Connections: 2, Sessions: 2, Fetches: 1, FetchesWaiting: 1})
	})
}
