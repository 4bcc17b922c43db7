package limits_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// slowCheck is a password check that takes a while, as a good one does.
func slowCheck(took time.Duration) func(username, password string) error {
	return func(_, password string) error {
		time.Sleep(took)
		if password != "pass" {
			return imapserver.ErrAuthFailed
		}
		return nil
	}
}

// storm logs in from n connections at once and counts the answers.
func (s *server) storm(n int, address, user, password string) map[string]int {
	var mu sync.Mutex
	answers := make(map[string]int)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			c := s.dial(address)
			answer := imaptest.Last(c.Cmd("a LOGIN " + user + " " + password))
			if strings.HasPrefix(answer, "OK") {
				answer = "OK"
			}
			mu.Lock()
			answers[answer]++
			mu.Unlock()
		})
	}
	all.Wait()
	return answers
}

func TestLoginStormCostsNoMorePasswordChecksThanTheLimit(t *testing.T) {
	for name, check := range map[string]func(string, string) error{
		"quick check": nil,
		"slow check":  slowCheck(200 * time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, &backend{login: check}, limits.DefaultOptions())
				took := elapsed(func() {
					assert.Equal(
						t, map[string]int{"OK": 20, noUserLogins: 180}, s.storm(200, "192.0.2.1", "karen", "pass"),
					)
				})
				assert.EqualValues(t, 20, s.checks.Load())
				assert.LessOrEqual(t, took, 1200*time.Millisecond, "one check, then four at a time")
				assert.EqualValues(t, 180, s.limiter.Stats().Refused.LoginsPerUser)

				time.Sleep(200 * time.Millisecond)
				s.inUse(limits.Stats{Connections: 20, Sessions: 20})

				// Logged-in sessions continue, and other users are not affected.
				_, answer := s.login("192.0.2.1", "bob")
				assert.Contains(t, answer, "OK")

				s.Server.Close()
				synctest.Wait()
				s.inUse(limits.Stats{})
			})
		})
	}
}

func TestNoMoreChecksAtOnceThanCouldBeAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serve(t, b, &limits.Options{MaxLoginsPerUser: 5})
		for range 3 {
			s.login("192.0.2.1", "karen")
		}
		var mu sync.Mutex
		var atOnce, most int
		b.login = func(string, string) error {
			mu.Lock()
			atOnce++
			most = max(most, atOnce)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			atOnce--
			mu.Unlock()
			return nil
		}
		assert.Equal(
			t, map[string]int{"OK": 2, noUserLogins: 8}, s.storm(10, "192.0.2.1", "karen", "pass"),
		)
		assert.Equal(t, 2, most)
		assert.EqualValues(t, 5, s.checks.Load())
	})
}

func TestTheRestWaitForTheOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The first two have a wrong password, so that the third is needed.
		s := serve(t, &backend{login: slowCheck(time.Second)}, &limits.Options{MaxLoginsPerUser: 1})
		var all sync.WaitGroup
		start := time.Now()
		for i, password := range []string{"wrong", "wrong", "pass", "pass"} {
			all.Go(func() {
				c := s.dial("192.0.2.1")
				answer := imaptest.Last(c.Cmd("a LOGIN karen " + password))
				want := []string{authFailed, authFailed, "OK", noUserLogins}[i]
				assert.Contains(t, answer, want)
				assert.Equal(t, time.Duration(min(i+1, 3))*time.Second, time.Since(start))
			})
			synctest.Wait() // so that they queue in this order
		}
		all.Wait()
		assert.EqualValues(t, 3, s.checks.Load())
	})
}

func TestARefusedLoginEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{MaxLoginsPerUser: 1})
		s.login("192.0.2.1", "karen")

		c := s.dial("192.0.2.1")
		start := time.Now()
		c.Send(
			"a LOGIN karen pass", "b CAPABILITY", "c LOGIN bob pass", "d AUTHENTICATE PLAIN AGJvYgBwYXNz",
		)
		assert.Equal(t, "a "+noUserLogins, c.Line())
		lines := c.Rest()
		assert.Less(t, time.Since(start), 200*time.Millisecond)
		assert.Equal(t, "* BYE [LIMIT] Too many logins for this user", lines[len(lines)-1])
		assert.Contains(t, lines, "c "+noUserLogins)
		assert.Contains(t, lines, "d "+noUserLogins)
		assert.EqualValues(t, 1, s.checks.Load(), "nothing reaches the backend after the refusal")
		synctest.Wait()
		s.inUse(limits.Stats{Connections: 1, Sessions: 1})
	})
}

func TestARefusedClientThatDoesNotReadIsClosedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{MaxLoginsPerUser: 1})
		s.login("192.0.2.1", "karen")
		c := s.dial("192.0.2.1")
		c.Send("a LOGIN karen pass")
		// The answers to these fill the buffers of the connection.
		go c.Conn.Write([]byte(strings.Repeat("b CAPABILITY\r\n", 10_000)))
		time.Sleep(200 * time.Millisecond)
		s.inUse(limits.Stats{Connections: 1, Sessions: 1})
	})
}

func TestAStrangerGetsTheBackendsOwnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// karen is at her limit, nobody has no account, bob is not logged in.
		b := &backend{login: func(username, password string) error {
			time.Sleep(time.Second)
			if username == "nobody" || password != "pass" {
				return imapserver.ErrAuthFailed
			}
			return nil
		}}
		s := serve(t, b, &limits.Options{MaxLoginsPerUser: 2})
		s.login("192.0.2.1", "karen")
		s.login("192.0.2.1", "karen")

		var all sync.WaitGroup
		for _, user := range []string{"karen", "nobody", "bob"} {
			all.Go(func() {
				took := elapsed(func() {
					assert.Equal(t, map[string]int{authFailed: 10}, s.storm(10, "203.0.113.9", user, "guess"))
				})
				assert.Equal(
					t, 10*time.Second, took, "at the same pace, whatever the account's state: %s", user,
				)
			})
		}
		all.Wait()

		// With the right password from elsewhere, the limit is the answer, after the check.
		_, answer := s.login("203.0.113.10", "karen")
		assert.Equal(t, noUserLogins, answer)
	})
}

func TestStrangersDoNotDelayOrRefuseTheUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := limits.DefaultOptions()
		options.MaxLoginChecks = 0 // otherwise it would wait for a turn
		s := serve(t, &backend{login: slowCheck(time.Second)}, options)
		var strangers sync.WaitGroup
		for i := range 50 {
			strangers.Go(func() { s.storm(20, fmt.Sprintf("203.0.113.%d", i), "karen", "guess") })
		}
		synctest.Wait()
		for range 20 {
			took := elapsed(func() {
				_, answer := s.login("192.0.2.1", "karen")
				assert.Contains(t, answer, "OK")
			})
			assert.Equal(t, time.Second, took)
		}
		strangers.Wait()
	})
}

func TestMaxLoginsPerIP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{MaxLoginsPerIP: 2, MaxLoginsPerUser: 20})
		first, _ := s.login("192.0.2.1", "karen")
		s.login("::ffff:192.0.2.1", "bob")
		checks := s.checks.Load()

		c, answer := s.login("192.0.2.1", "eve")
		assert.Equal(t, noIPLogins, answer)
		assert.Equal(t, []string{"* BYE [LIMIT] Too many connections from this address!"}, c.Rest())
		assert.Equal(t, checks, s.checks.Load(), "no password check when the address is full")
		assert.EqualValues(t, 1, s.limiter.Stats().Refused.LoginsPerIP)

		_, answer = s.login("192.0.2.2", "eve")
		assert.Contains(t, answer, "OK")

		first.Cmd("z LOGOUT")
		synctest.Wait()
		_, answer = s.login("192.0.2.1", "eve")
		assert.Contains(t, answer, "OK")
	})
}

func TestStrangersDoNotFillAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{login: func(username, _ string) error {
			if username != "karen" {
				time.Sleep(10 * time.Second)
				return imapserver.ErrAuthFailed
			}
			return nil
		}}
		s := serve(t, b, &limits.Options{MaxLoginsPerIP: 2})
		var strangers sync.WaitGroup
		for i := range 20 {
			strangers.Go(func() { s.storm(1, "192.0.2.1", fmt.Sprintf("guess%d", i), "x") })
		}
		synctest.Wait()
		_, answer := s.login("192.0.2.1", "karen")
		assert.Contains(t, answer, "OK")
		strangers.Wait()
	})
}

func TestAWaitingLoginTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []limits.Event
		options := &limits.Options{
			MaxLoginsPerUser: 5,
			OnEvent:          func(e limits.Event) { events = append(events, e) },
		}
		s := serve(t, &backend{login: slowCheck(time.Minute)}, options)
		stuck := s.dial("192.0.2.1")
		stuck.Send("a LOGIN karen pass")
		synctest.Wait()
		s.inUse(limits.Stats{Connections: 1, LoginChecks: 1})

		took := elapsed(func() {
			_, answer := s.login("192.0.2.1", "karen")
			assert.Equal(t, noUserLogins, answer)
		})
		assert.Equal(t, 30*time.Second, took)
		require.Len(t, events, 1)
		assert.Equal(t, limits.EventTimedOut, events[0].Kind)
		assert.Equal(t, 30*time.Second, events[0].Waited)
		assert.EqualValues(t, 1, s.checks.Load())

		assert.Contains(t, stuck.Line(), "a OK")
		s.Server.Close()
		synctest.Wait()
		s.inUse(limits.Stats{})
	})
}

func TestMaxFailedLogins(t *testing.T) {
	for name, guess := range map[string]string{
		"LOGIN":                        "a LOGIN karen guess",
		"AUTHENTICATE":                 "a AUTHENTICATE PLAIN AGthcmVuAGd1ZXNz",
		"AUTHENTICATE without SASL-IR": "a AUTHENTICATE PLAIN\r\nAGthcmVuAGd1ZXNz",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, &backend{}, limits.DefaultOptions())
				c := s.dial("192.0.2.1")
				for range 3 {
					assert.Equal(t, authFailed, imaptest.Last(c.Cmd(guess)))
				}
				start := time.Now()
				assert.Equal(t, []string{"* BYE Too many failed login attempts"}, c.Rest())
				assert.Equal(t, 100*time.Millisecond, time.Since(start))
				assert.EqualValues(t, 1, s.limiter.Stats().Refused.FailedLogins)
				synctest.Wait()
				s.inUse(limits.Stats{})
			})
		})
	}
}

// One guess on each of many connections reaches no limit, but each one is reported.
func TestEveryWrongPasswordIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []limits.Event
		options := limits.DefaultOptions()
		options.OnEvent = func(e limits.Event) { events = append(events, e) }
		options.MaxGuessDelay = 0
		s := serve(t, &backend{}, options)
		for range 5 {
			c := s.dial("203.0.113.9")
			assert.Equal(t, authFailed, imaptest.Last(c.Cmd("a LOGIN Karen guess")))
			c.Close()
		}
		s.login("192.0.2.1", "karen")
		want := limits.Event{
			Kind:    limits.EventFailed,
			Command: "LOGIN",
			User:    "karen",
			Addr:    netip.MustParseAddr("203.0.113.9"),
		}
		assert.Equal(t, slices.Repeat([]limits.Event{want}, 5), events)
		assert.Equal(t, limits.Totals{WrongCredentials: 5}, s.limiter.Stats().Total)
	})
}

func TestPipelinedGuessesEndAtTheMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, limits.DefaultOptions())
		c := s.dial("192.0.2.1")
		c.Send(strings.TrimSpace(strings.Repeat("a LOGIN karen guess\r\n", 100)))
		lines := c.Rest()
		assert.Equal(t, "* BYE Too many failed login attempts", lines[len(lines)-1])
		assert.EqualValues(t, 3, s.checks.Load())
		assert.Equal(t, "a NO [LIMIT] Too many failed login attempts", lines[3])
	})
}

func TestOnlyWrongCredentialsCountAsFailed(t *testing.T) {
	no := func(code imap.ResponseCode) error {
		return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: "No"}
	}
	for name, test := range map[string]struct {
		err    error
		counts bool
	}{
		"AUTHENTICATIONFAILED": {imapserver.ErrAuthFailed, true},
		"wrapped":              {fmt.Errorf("check: %w", imapserver.ErrAuthFailed), true},
		"AUTHORIZATIONFAILED":  {no(imap.ResponseCodeAuthorizationFailed), true},
		"EXPIRED":              {no(imap.ResponseCodeExpired), true},
		"no code":              {no(""), true},
		"a bad token":          {&sasl.OAuthBearerError{Status: "invalid_token"}, true},
		"UNAVAILABLE":          {no(imap.ResponseCodeUnavailable), false},
		"SERVERBUG":            {no(imap.ResponseCodeServerBug), false},
		"INUSE":                {no(imap.ResponseCodeInUse), false},
		"CONTACTADMIN":         {no(imap.ResponseCodeContactAdmin), false},
		"PRIVACYREQUIRED":      {no(imap.ResponseCodePrivacyRequired), false},
		"a limit below ours":   {no(imap.ResponseCodeLimit), false},
		"BAD":                  {&imap.Error{Type: imap.StatusResponseTypeBad, Text: "Bad"}, false},
		"no IMAP error":        {errors.New("database is gone"), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(
					t, &backend{login: func(string, string) error { return test.err }}, limits.DefaultOptions(),
				)
				c := s.dial("192.0.2.1")
				for range 3 {
					assert.False(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass")))
				}
				time.Sleep(time.Second)
				if test.counts {
					assert.Equal(t, []string{"* BYE Too many failed login attempts"}, c.Rest())
					return
				}
				assert.True(t, imaptest.IsOK(c.Cmd("b NOOP")))
			})
		})
	}
}

func TestSyntaxErrorsAndCancelledExchangesDoNotCountAsFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, limits.DefaultOptions())
		c := s.dial("192.0.2.1")
		for range 5 {
			assert.Contains(t, imaptest.Last(c.Cmd("a LOGIN karen")), "BAD")
			assert.Contains(t, imaptest.Last(c.Cmd("a AUTHENTICATE PLAIN\r\n*")), "BAD")
			assert.Contains(t, imaptest.Last(c.Cmd("a AUTHENTICATE PLAIN AAAA")), "NO [SERVERBUG]")
		}
		assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass")))
	})
}

func TestUsersAreCountedByACanonicalName(t *testing.T) {
	for name, test := range map[string]struct {
		options     limits.Options
		first, then string
		same        bool
	}{
		"case":  {limits.Options{}, `karen`, `KAREN`, true},
		"space": {limits.Options{}, `karen`, `" karen "`, true},
		"Greek sigmas": {
			limits.Options{}, "{6+}\r\n\u03c3\u03c2\u03a3", "{6+}\r\n\u03a3\u03c3\u03c3", true,
		},
		"Kelvin sign": {limits.Options{}, "karen", "{7+}\r\n\u212aaren", true},
		"full width":  {limits.Options{}, "karen", "{15+}\r\n\uff4b\uff21\uff52\uff45\uff4e", true},
		"wide space":  {limits.Options{}, "karen", "{8+}\r\n\u3000karen", true},
		"other user":  {limits.Options{}, `karen`, `bob`, false},
		"UserKey": {limits.Options{UserKey: func(name string) string {
			name, _, _ = strings.Cut(name, "@")
			return name
		}}, `karen`, `karen@example.com`, true},
		"Username": {limits.Options{Username: func(session imapserver.Session) string {
			return strings.TrimPrefix(session.(*backendSession).user, "alias-of-")
		}}, `karen`, `alias-of-karen`, true},
		"Username does not know": {
			limits.Options{Username: func(imapserver.Session) string { return "" }}, `karen`, `bob`, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.options.MaxLoginsPerUser = 1
				s := serve(t, &backend{}, &test.options)
				_, answer := s.login("192.0.2.1", test.first)
				assert.Contains(t, answer, "OK")
				_, answer = s.login("192.0.2.1", test.then)
				if test.same {
					assert.Equal(t, noUserLogins, answer)
				} else {
					assert.Contains(t, answer, "OK")
				}
			})
		})
	}
}

func TestAnAliasStormCostsNoMoreChecksThanTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := limits.DefaultOptions()
		options.Username = func(imapserver.Session) string { return "karen" }
		s := serve(t, &backend{login: slowCheck(time.Second)}, options)
		assert.Equal(
			t, map[string]int{"OK": 20, noUserLogins: 80}, s.storm(100, "192.0.2.1", "alias", "pass"),
		)
		assert.EqualValues(t, 20, s.checks.Load())
	})
}

func TestUnauthenticateGivesTheUsersSlotsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		limiter := limits.New(&limits.Options{MaxLoginsPerUser: 1})
		server := imaptest.NewServer(t, &imapserver.Options{
			NewSession: limiter.Wrap(
				func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
					return unauthenticating{&backendSession{backend: b}}, nil, nil
				},
			),
			InsecureAuth: true,
			Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUnauthenticate: {}},
		})
		first, second := server.Login("karen", "pass"), server.Login("stuck", "pass")
		assert.Equal(t, limits.Stats{Connections: 2, Sessions: 2}, limiter.Stats())

		assert.True(t, imaptest.IsOK(first.Cmd("a UNAUTHENTICATE")))
		assert.Equal(t, limits.Stats{Connections: 2, Sessions: 1}, limiter.Stats())
		assert.True(t, imaptest.IsOK(first.Cmd("b LOGIN bob pass")))
		server.Login("karen", "pass")

		assert.Equal(t, "NO Not now", imaptest.Last(second.Cmd("a UNAUTHENTICATE")))
		assert.Equal(
			t, 3, limiter.Stats().Sessions, "a session whose UNAUTHENTICATE failed is still logged in",
		)

		server.Close()
		synctest.Wait()
		assert.Zero(t, limiter.Stats())
	})
}

func TestPreAuth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		options := &limits.Options{
			MaxLoginsPerUser: 1, MaxLoginsPerIP: 2,
			Username: func(session imapserver.Session) string { return session.(*backendSession).user },
		}
		user := "karen"
		s := serveSessions(
			t,
			b,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return &backendSession{backend: b, user: user}, &imapserver.GreetingData{PreAuth: true}, nil
			},
			options,
		)

		first := s.Dial()
		assert.Contains(t, first.Line(), "* PREAUTH")
		assert.Equal(t, []string{"* BYE [LIMIT] Too many logins for this user"}, s.Dial().Rest())
		assert.EqualValues(t, 1, b.closes.Load(), "the refused session is closed")
		user = "" // the backend does not know: counted by address only
		assert.Contains(t, s.Dial().Line(), "* PREAUTH")
		assert.Equal(
			t, []string{"* BYE [LIMIT] Too many connections from this address!"}, s.Dial().Rest(),
		)
		s.inUse(limits.Stats{Connections: 2, Sessions: 2})

		s.Server.Close()
		synctest.Wait()
		s.inUse(limits.Stats{})
	})
}

func TestAPanicInLoginLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{login: func(string, string) error { panic("broken") }}
		s := serve(t, b, limits.DefaultOptions())
		for range 3 {
			c := s.dial("192.0.2.1")
			c.Send("a LOGIN karen pass")
			assert.Empty(t, c.Rest())
		}
		s.inUse(limits.Stats{})
		b.login = nil
		_, answer := s.login("192.0.2.1", "karen")
		assert.Contains(t, answer, "OK")
	})
}

func TestClientsThatHangUpDuringLoginLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{login: slowCheck(time.Second)}, limits.DefaultOptions())
		var conns []net.Conn
		for range 50 {
			c := s.dial("192.0.2.1")
			c.Send("a LOGIN karen pass")
			conns = append(conns, c)
		}
		synctest.Wait()
		for _, c := range conns {
			c.Close()
		}
		time.Sleep(2 * time.Minute)
		s.inUse(limits.Stats{})
	})
}

func TestMasterSessionsDoNotLockTheUserOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// With the master password, a client is logged in as the administrator, whatever name it gives.
		var as sync.Map
		b := &backend{login: func(username, password string) error {
			as.Store(username, password)
			return nil
		}}
		options := &limits.Options{
			MaxLoginsPerUser: 2,
			Username: func(session imapserver.Session) string {
				user := session.(*backendSession).user
				if password, _ := as.Load(user); password == "master" {
					return "admin"
				}
				return user
			},
		}
		s := serve(t, b, options)
		for _, want := range []struct{ password, answer string }{
			{"master", "OK"}, {"own", "OK"}, {"master", "OK"}, {"own", "OK"}, {"own", noUserLogins},
			{"master", noUserLogins},
		} {
			c := s.dial("192.0.2.1")
			assert.Contains(t, imaptest.Last(c.Cmd("a LOGIN karen "+want.password)), want.answer)
		}
	})
}

func TestAddressesWithoutALimitAreStillApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := limits.DefaultOptions()
		options.IPKey = func(netip.Addr) netip.Prefix { return netip.Prefix{} }
		s := serve(t, &backend{login: slowCheck(time.Second)}, options)
		go s.storm(40, "203.0.113.9", "karen", "guess")
		synctest.Wait()
		for _, address := range []string{"192.0.2.1", ""} {
			took := elapsed(func() {
				_, answer := s.login(address, "karen")
				assert.Contains(t, answer, "OK")
			})
			assert.Equal(t, time.Second, took)
		}
		time.Sleep(time.Minute)
	})
}

func TestIPKeyNeedNotMask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(
			t,
			&backend{},
			&limits.Options{MaxConnectionsPerIP: 1, IPKey: func(addr netip.Addr) netip.Prefix {
				return netip.PrefixFrom(addr, 24)
			}},
		)
		s.dial("192.0.2.1")
		assert.Equal(
			t, "* BYE [LIMIT] Too many connections from this address!",
			imaptest.NewConn(t, s.DialFrom("192.0.2.99")).Line(),
		)
	})
}

func TestUserKeyIsNotAskedForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{
			MaxLoginsPerUser: 1,
			UserKey:          func(name string) string { return name + "@example.com" },
		}
		s := serveSessions(t, &backend{}, saslBackend(&backend{}, "X-TOKEN", 1, 0), options)
		for range 2 {
			assert.Contains(t, authenticate(s.dial("192.0.2.1"), "X-TOKEN", "secret"), "OK")
		}
	})
}

func TestNamesInAnotherEncodingAreNotOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{MaxLoginsPerUser: 1})
		for name, want := range map[string]string{"{4+}\r\njos\xe9": "OK", "{4+}\r\njos\xe8": "OK"} {
			_, answer := s.login("192.0.2.1", name)
			assert.Contains(t, answer, want)
		}
		_, answer := s.login("192.0.2.1", "{4+}\r\nJOS\xe9")
		assert.Equal(t, noUserLogins, answer)
	})
}

func TestAWaitedLoginIsRefusedByALimitThatIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{login: slowCheck(time.Minute)}, &limits.Options{MaxLoginsPerIP: 1})
		s.dial("192.0.2.1").Send("a LOGIN karen pass")
		synctest.Wait()
		_, answer := s.login("192.0.2.1", "karen")
		assert.Equal(t, noIPLogins, answer)
	})
}

// The server gives AUTHENTICATE 30 s from its arrival. The wait for other logins must not use them
// up.
func TestAuthenticateThatWaitedGetsItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{login: slowCheck(20 * time.Second)}, &limits.Options{MaxLoginsPerUser: 2})
		s.dial("192.0.2.1").Send("a AUTHENTICATE PLAIN AGthcmVuAHBhc3M=")
		synctest.Wait()
		c := s.dial("192.0.2.1")
		took := elapsed(
			func() { assert.True(t, imaptest.IsOK(c.Cmd("a AUTHENTICATE PLAIN AGthcmVuAHBhc3M="))) },
		)
		assert.Equal(t, 40*time.Second, took)
	})
}

func TestLimitsForDoesNotTellStrangersOfAnAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{
			MaxLoginsPerUser: 20,
			LimitsFor: func(c limits.Client) limits.ClientLimits {
				if c.User == "service" {
					return limits.ClientLimits{}
				}
				return c.Limits
			},
		}
		s := serve(t, &backend{login: slowCheck(time.Second)}, options)
		for _, user := range []string{"service", "nobody"} {
			took := elapsed(func() { s.storm(10, "203.0.113.9", user, "guess") })
			assert.Equal(t, 10*time.Second, took)
		}
	})
}

func TestCallbacksThatPanicLeaveNothing(t *testing.T) {
	for name, spoil := range map[string]func(*limits.Options){
		"OnEvent": func(o *limits.Options) { o.OnEvent = func(limits.Event) { panic("broken") } },
		"UserKey": func(o *limits.Options) { o.UserKey = func(string) string { panic("broken") } },
		"IPKey": func(o *limits.Options) {
			o.IPKey = func(netip.Addr) netip.Prefix { panic("broken") }
		},
		"Username": func(o *limits.Options) {
			o.Username = func(imapserver.Session) string { panic("broken") }
		},
		"LimitsFor": func(o *limits.Options) {
			o.LimitsFor = func(limits.Client) limits.ClientLimits { panic("broken") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				options := &limits.Options{
					MaxLoginsPerUser: 9,
					MaxFetches:       1,
					MaxSearches:      1,
					ShareSearches:    true,
				}
				spoil(options)
				b := &backend{fetch: newWork(time.Second).do, search: newWork(time.Second).do}
				s := serve(t, b, options)
				for i := range 9 {
					c := s.Dial()
					command := []string{"c FETCH 1 FLAGS", "c SEARCH ALL", "c UID SEARCH ALL"}[i%3]
					io.WriteString(c.Conn, "a LOGIN karen pass\r\nb SELECT INBOX\r\n"+command+"\r\n")
				}
				preAuth := limits.New(options)
				pre := imaptest.NewServer(t, &imapserver.Options{NewSession: preAuth.Wrap(
					func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
						return &backendSession{backend: b}, &imapserver.GreetingData{PreAuth: true}, nil
					})})
				pre.Dial()
				time.Sleep(time.Minute)
				s.Server.Close()
				pre.Close()
				synctest.Wait()
				s.inUse(limits.Stats{})
				assert.Equal(t, limits.Stats{Refused: preAuth.Stats().Refused}, preAuth.Stats())
			})
		})
	}
}
