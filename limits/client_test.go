package limits_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

func TestLimitsForGivesAClientItsOwnLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		webmail := netip.MustParseAddr("192.0.2.80")
		var mu sync.Mutex
		asked := make(map[limits.Client]bool)
		options := &limits.Options{
			MaxConnectionsPerIP: 3, MaxLoginsPerUser: 1, MaxLoginsPerIP: 2, MaxFetchesPerUser: 1,
			FetchQueueTimeout: 40 * time.Second,
			LimitsFor: func(c limits.Client) limits.ClientLimits {
				mu.Lock()
				asked[limits.Client{User: c.User, Addr: c.Addr, TLS: c.TLS}] = true
				mu.Unlock()
				own := c.Limits
				if c.Addr == webmail {
					own.MaxConnectionsPerIP, own.MaxLoginsPerIP = 0, 0
				}
				if c.User == "service" {
					own.MaxLoginsPerUser, own.MaxFetchesPerUser = 3, 0
				}
				return own
			},
		}
		s := serve(t, &backend{fetch: newWork(10 * time.Second).do}, options)
		for _, user := range []string{"a", "b", "c", "d", "e"} {
			_, answer := s.login("192.0.2.80", user)
			assert.Contains(t, answer, "OK", "the webmail host has no limits of an address")
		}
		for _, want := range []string{"OK", "OK", "OK", noUserLogins} {
			_, answer := s.login("192.0.2.80", "service")
			assert.Contains(t, answer, want)
		}
		_, answer := s.login("192.0.2.1", "karen")
		assert.Contains(t, answer, "OK")
		_, answer = s.login("192.0.2.1", "karen")
		assert.Equal(t, noUserLogins, answer)
		assert.True(t, asked[limits.Client{User: "service", Addr: webmail}])
		assert.True(t, asked[limits.Client{Addr: webmail}])
	})
}

func TestLimitsForAppliesThroughSetOptionsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(10 * time.Second)
		options := limits.Options{MaxFetchesPerUser: 1}
		s := serve(t, &backend{fetch: w.do}, &options)
		for range 4 {
			for _, user := range []string{"service", "karen"} {
				s.selected(user).Send("x FETCH 1 FLAGS")
			}
		}
		synctest.Wait()
		s.commandsInUse(limits.Stats{Fetches: 2, FetchesWaiting: 6})
		options.LimitsFor = func(c limits.Client) limits.ClientLimits {
			if c.User == "service" {
				return limits.ClientLimits{}
			}
			return c.Limits
		}
		require.NoError(t, s.limiter.SetOptions(&options))
		s.commandsInUse(limits.Stats{Fetches: 5, FetchesWaiting: 3})
		time.Sleep(time.Minute)
		s.commandsInUse(limits.Stats{})
	})
}

func TestExemptNetworksAreNeverRefusedAndNeverWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{
			MaxConnections: 2, MaxConnectionsPerIP: 1, MaxLoginsPerUser: 1, MaxLoginsPerIP: 1,
			MaxFailedLogins: 1,
			MaxFetches:      1, MaxFetchesPerUser: 1, MaxSearches: 1, MaxWaiting: 1, MaxListWildcards: 1,
			MaxSearchTerms: 1,
			LoginTimeout:   time.Second, ShareSearches: true, MaxSearchDepth: 1,
			Exempt: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		}
		w := newWork(10 * time.Second)
		s := serve(t, &backend{fetch: w.do, search: w.do}, options)
		options.Exempt[0] = netip.Prefix{} // the options were copied

		for range 5 {
			c := s.dial("198.51.100.7")
			time.Sleep(2 * time.Second)
			assert.Equal(t, authFailed, imaptest.Last(c.Cmd("a LOGIN karen guess")))
			assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass")))
			assert.True(t, imaptest.IsOK(c.Cmd("a LIST \"\" *a*a*a")))
			c.Cmd("b SELECT INBOX")
			c.Send("x FETCH 1 FLAGS")
		}
		synctest.Wait()
		assert.Equal(t, 5, s.limiter.Stats().Fetches)
		assert.Equal(
			t, []string{"* BYE [LIMIT] Too many connections"},
			imaptest.NewConn(t, s.DialFrom("192.0.2.1")).Rest(), "they count for the others",
		)
	})
}

// Sessions of exempt networks do not make room for others.
func TestSilentSessionsOfExemptNetworksAreNotEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{
			MaxLoginsPerUser: 2, EvictIdle: time.Minute,
			Exempt: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		})
		webmail, _ := s.login("198.51.100.7", "karen")
		time.Sleep(time.Second)
		silent, _ := s.login("192.0.2.1", "karen")
		time.Sleep(10 * time.Minute)
		_, answer := s.login("192.0.2.1", "karen")
		assert.Contains(t, answer, "OK")
		assert.Equal(
			t, []string{"* BYE [LIMIT] A newer login of this user took the place of this idle session"},
			silent.Rest(),
		)
		assert.True(t, imaptest.IsOK(webmail.Cmd("n NOOP")))
	})
}

func TestDryRunRefusesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		limitsHit := make(map[string]int)
		options := &limits.Options{
			MaxConnectionsPerIP: 3, MaxLoginsPerUser: 2, MaxLoginsPerIP: 4, MaxFailedLogins: 1,
			MaxFetches: 1, FetchQueueTimeout: 40 * time.Second, MaxSearches: 1,
			SearchQueueTimeout: 30 * time.Second, MaxWaiting: 3,
			MaxListWildcards: 1, MaxSearchTerms: 1, MaxSearchDepth: 1, MaxAppendSize: 1,
			LoginTimeout: time.Second, ShareSearches: true,
			DryRun: true,
			OnEvent: func(e limits.Event) {
				if e.Kind == limits.EventFailed {
					return // Options.Username decides
				}
				assert.True(t, e.DryRun)
				mu.Lock()
				defer mu.Unlock()
				limitsHit[e.Limit]++
			},
		}
		w := newWork(45 * time.Second)
		s := serve(t, &backend{fetch: w.do, search: w.do}, options)
		var conns []*imaptest.Conn
		for range 6 {
			c := s.dial("192.0.2.1")
			time.Sleep(2 * time.Second)
			assert.Equal(t, authFailed, imaptest.Last(c.Cmd("a LOGIN karen guess")))
			assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass")))
			assert.True(t, imaptest.IsOK(c.Cmd(`l LIST "" *a*`)))
			c.Send("p APPEND INBOX {2+}", "xx")
			assert.True(t, imaptest.IsOK(c.Answer("p")))
			c.Cmd("b SELECT INBOX")
			conns = append(conns, c)
		}
		took := elapsed(func() {
			for _, c := range conns {
				c.Send("x FETCH 1 FLAGS")
				synctest.Wait()
			}
			s.commandsInUse(
				limits.Stats{Fetches: 3, FetchesWaiting: 3},
			) // one after its wait, two because the queue is full
			for _, c := range conns {
				assert.True(t, imaptest.IsOK(c.Answer("x")))
			}
		})
		assert.Equal(t, 45*time.Second, took, "all at once")
		assert.True(t, imaptest.IsOK(conns[0].Cmd("x UID SEARCH SEEN NOT FLAGGED")))
		s.commandsInUse(limits.Stats{})
		assert.Equal(t, map[string]int{
			"MaxConnectionsPerIP": 3, "MaxLoginsPerUser": 2, "MaxLoginsPerIP": 2, "MaxFailedLogins": 6,
			"LoginTimeout":     6,
			"MaxListWildcards": 6, "MaxAppendSize": 6, "MaxSearchTerms": 1, "MaxSearchDepth": 1,
			"MaxFetches": 3, "MaxWaiting": 2,
		}, limitsHit)
		s.Server.Close()
		synctest.Wait()
		s.inUse(limits.Stats{})
	})
}

func TestSessionsShowWhoHoldsAndWaitsForWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(
			t, &backend{fetch: newWork(time.Hour).do}, &limits.Options{MaxFetches: 1, MaxLoginsPerUser: 5},
		)
		connected := time.Now()
		s.dial("2001:db8::1")
		time.Sleep(time.Second)
		runs := s.selected("karen")
		time.Sleep(time.Second)
		waits := s.selected("bob")
		time.Sleep(time.Second)
		idles := s.selected("eve")
		runs.Send("x FETCH 1 FLAGS")
		time.Sleep(time.Second)
		waits.Send("x FETCH 1 FLAGS")
		idles.Send("x IDLE")
		synctest.Wait()

		at := func(seconds int) time.Time { return connected.Add(time.Duration(seconds) * time.Second) }
		sessions := s.limiter.Sessions()
		addr := func(i int, ip string) netip.AddrPort { // the port is the client's own choice
			assert.NotZero(t, sessions[i].Addr.Port())
			return netip.AddrPortFrom(netip.MustParseAddr(ip), sessions[i].Addr.Port())
		}
		assert.Equal(t, []limits.SessionInfo{
			{ID: 1, Addr: addr(0, "2001:db8::1"), Connected: at(0), Since: at(0)},
			{
				ID: 2, User: "karen", Addr: addr(1, "192.0.2.1"), LoggedIn: true, Connected: at(1),
				Command: "FETCH", Since: at(3),
			},
			{
				ID: 3, User: "bob", Addr: addr(2, "192.0.2.1"), LoggedIn: true, Connected: at(2),
				Command: "FETCH", Waiting: true, Since: at(4),
			},
			{
				ID: 4, User: "eve", Addr: addr(3, "192.0.2.1"), LoggedIn: true, Connected: at(3),
				Command: "IDLE", Since: at(4),
			},
		}, sessions)
		s.limiter.Close()
		s.Server.Close()
		time.Sleep(2 * time.Hour)
		assert.Empty(t, s.limiter.Sessions())
	})
}

func TestTheQueueIsBounded(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		told := make(chan limits.Event, 100)
		options := cmd.options(1, 0)
		options.MaxWaiting, options.MaxWaitingPerUser = 3, 2
		options.OnEvent = func(e limits.Event) { told <- e }
		s := serve(t, cmd.backend(newWork(10*time.Minute).do), options)
		for _, user := range []string{"bob", "karen", "karen"} {
			cmd.open(s, user).Send(cmd.next())
			synctest.Wait()
		}
		took := elapsed(
			func() { assert.Equal(t, cmd.refusal, imaptest.Last(cmd.open(s, "karen").Cmd(cmd.next()))) },
		)
		assert.Zero(t, took)
		cmd.open(s, "eve").Send(cmd.next())
		synctest.Wait()
		assert.Equal(t, cmd.refusal, imaptest.Last(cmd.open(s, "bob").Cmd(cmd.next())))
		s.commandsInUse(cmd.stats(1, 3))
		first, second := <-told, <-told
		assert.Equal(t, limits.EventRefused, first.Kind)
		assert.Equal(t, "MaxWaitingPerUser", first.Limit)
		assert.Equal(t, "MaxWaiting", second.Limit)
		assert.Equal(t, cmd.timeout, second.RetryAfter)
		s.limiter.Close()
		s.Server.Close()
		time.Sleep(time.Hour)
		s.inUse(limits.Stats{})
	})
}

func TestEventsGoByTheirNames(t *testing.T) {
	var names []string
	for kind := limits.EventKind(-1); kind <= limits.EventDisconnected+1; kind++ {
		names = append(names, kind.String())
	}
	assert.Equal(
		t, "EventKind(-1),EventKind(0),refused,timed out,left,admitted,joined,evicted,stalled,failed,"+
			"delayed,disconnected,EventKind(11)",
		strings.Join(names, ","),
	)
}

func TestLoginsFromExemptNetworksDoNotWaitForOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := limits.DefaultOptions()
		options.Exempt = []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}
		s := serve(t, &backend{login: slowCheck(time.Second)}, options)
		took := elapsed(
			func() {
				assert.Equal(t, map[string]int{"OK": 50}, s.storm(50, "2001:db8::1", "karen", "pass"))
			},
		)
		assert.Equal(t, time.Second, took)
	})
}

func TestExemptIsTheAddressItselfWhateverItIsCountedAs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{
			MaxLoginsPerUser: 1,
			Exempt: []netip.Prefix{
				netip.MustParsePrefix("2001:db8::5/128"), netip.MustParsePrefix("198.51.100.7/32"),
			},
			IPKey: func(addr netip.Addr) netip.Prefix { // all addresses of a provider
				prefix, _ := addr.Prefix(16)
				return prefix
			},
		})
		for _, test := range []struct{ address, want string }{
			{"192.0.2.1", "OK"}, {"2001:db8::5", "OK"}, {"198.51.100.7", "OK"},
			{"2001:db8::6", noUserLogins}, {"198.51.100.8", noUserLogins},
		} {
			_, answer := s.login(test.address, "karen")
			assert.Contains(t, answer, test.want, test.address)
		}
	})
}

// A network of IPv4 addresses may be written as they are mapped into IPv6.
func TestExemptMayBeAnIPv4NetworkInIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{
			MaxLoginsPerUser: 1,
			Exempt: []netip.Prefix{
				netip.MustParsePrefix("::ffff:192.0.2.0/120"),
				netip.MustParsePrefix("::ffff:0:0/95"), // one of IPv6
			},
		}
		s := serve(t, &backend{}, options)
		for _, test := range []struct{ address, want string }{
			{"192.0.2.1", "OK"}, {"192.0.2.255", "OK"}, {"192.0.3.1", noUserLogins},
			{"::fffe:0:1", "OK"}, {"::fffd:0:1", noUserLogins},
		} {
			_, answer := s.login(test.address, "karen")
			assert.Contains(t, answer, test.want, test.address)
		}
		assert.Equal(t, options.Exempt, s.limiter.Options().Exempt)
	})
}

// A negative number from LimitsFor lets nobody in, and the server's log names it.
func TestAMistakeOfLimitsForLetsNobodyIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{LimitsFor: func(c limits.Client) limits.ClientLimits {
			if c.User == "karen" {
				c.Limits.MaxFetchesPerUser = -3
			}
			return c.Limits
		}})
		_, answer := s.login("192.0.2.1", "karen")
		assert.Equal(t, "NO [SERVERBUG] Internal server error", answer)
		assert.Contains(t, s.Log(), `limits: LimitsFor: MaxFetchesPerUser is -3: it must be 0 `+
			`(no limit) or more (for user "karen" at 192.0.2.1)`)
		assert.Zero(t, s.checks.Load())
		_, answer = s.login("192.0.2.1", "bob")
		assert.Contains(t, answer, "OK")
	})
}

// After UNAUTHENTICATE the backend has logged the client out. If its limits cannot be known, it
// loses its connection: go-imap would still let its commands through.
func TestAMistakeOfLimitsForEndsAClientAtUNAUTHENTICATE(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		limiter := limits.New(&limits.Options{MaxCommands: 1})
		server := imaptest.NewServer(t, &imapserver.Options{
			NewSession: limiter.Wrap(
				func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
					return unauthenticating{&backendSession{backend: b}}, nil, nil
				},
			),
			InsecureAuth: true,
			Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUnauthenticate: {}},
		})
		c, other := server.Login("karen", "pass"), server.Login("bob", "pass")
		require.NoError(t, limiter.SetOptions(&limits.Options{
			MaxCommands: 1,
			LimitsFor: func(c limits.Client) limits.ClientLimits {
				if c.User == "" {
					c.Limits.MaxCommandsPerUser = -1
				}
				return c.Limits
			},
		}))
		c.Send("a UNAUTHENTICATE", "b CREATE x", "c CREATE y")
		assert.Empty(t, c.Rest())
		assert.Contains(t, server.Log(), "MaxCommandsPerUser is -1")
		assert.True(t, imaptest.IsOK(other.Cmd("a CREATE x")))
		server.Close()
		synctest.Wait()
		assert.Zero(t, limiter.Stats())
	})
}
