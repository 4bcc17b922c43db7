package limits_test

import (
	"encoding/base64"
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

// stepServer is a SASL server that takes the given number of client messages and checks the last
// one that is not empty.
type stepServer struct {
	messages int
	check    func(message string) error
}

func (s *stepServer) Next(response []byte) ([]byte, bool, error) {
	if response == nil {
		return []byte("go on"), false, nil
	}
	s.messages--
	// An empty message at the end only acknowledges the server's proof, in SCRAM.
	isLast := s.messages == 0 && len(response) > 0
	if isLast || strings.HasPrefix(string(response), "c=") {
		if err := s.check(string(response)); err != nil {
			return nil, false, err
		}
	}
	if s.messages > 0 {
		return []byte("go on"), false, nil
	}
	return nil, true, nil
}

// saslBackend serves the mechanism with that many client messages. A message that contains "guess"
// is a wrong password.
func saslBackend(b *backend, mech string, messages int, took time.Duration) limits.NewSessionFunc {
	return func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		session := &backendSession{backend: b}
		return saslSession{session, map[string]func() sasl.Server{mech: func() sasl.Server {
			return &stepServer{messages, func(message string) error {
				b.checks.Add(1)
				time.Sleep(took)
				if strings.Contains(message, "guess") {
					return imapserver.ErrAuthFailed
				}
				return nil
			}}
		}}}, nil, nil
	}
}

func b64(message string) string { return base64.StdEncoding.EncodeToString([]byte(message)) }

// authenticate runs an exchange and returns the tagged answer.
func authenticate(c *imaptest.Conn, mech string, messages ...string) string {
	c.Send("a AUTHENTICATE " + mech)
	for _, message := range messages {
		if line := c.Line(); !strings.HasPrefix(line, "+") {
			return strings.TrimPrefix(line, "a ")
		}
		c.Send(b64(message))
	}
	return imaptest.Last(c.Answer("a"))
}

func TestTheUserIsKnownAfterSASL(t *testing.T) {
	for name, test := range map[string]struct {
		mech     string
		messages []string
		user     string
	}{
		"PLAIN":                   {"PLAIN", []string{"\x00Karen\x00pass"}, "karen"},
		"PLAIN for somebody else": {"PLAIN", []string{"karen\x00admin\x00pass"}, "karen"},
		"PLAIN malformed":         {"PLAIN", []string{"karen"}, ""},
		"LOGIN":                   {"LOGIN", []string{"karen", "pass"}, "karen"},
		"EXTERNAL with identity":  {"EXTERNAL", []string{"karen"}, "karen"},
		"EXTERNAL without":        {"EXTERNAL", []string{""}, ""},
		"OAUTHBEARER": {
			"OAUTHBEARER", []string{"n,a=karen@example.com,\x01host=imap\x01auth=Bearer x\x01\x01"},
			"karen@example.com",
		},
		"OAUTHBEARER escaped": {
			"OAUTHBEARER", []string{"n,a=ka=2Cr=3Den,\x01auth=Bearer x\x01\x01"}, "ka,r=en",
		},
		"OAUTHBEARER without":   {"OAUTHBEARER", []string{"n,,\x01auth=Bearer x\x01\x01"}, ""},
		"OAUTHBEARER malformed": {"OAUTHBEARER", []string{"n"}, ""},
		"XOAUTH2": {
			"XOAUTH2", []string{"user=karen\x01auth=Bearer x\x01\x01"}, "karen",
		},
		"XOAUTH2 without": {"XOAUTH2", []string{"auth=Bearer x\x01\x01"}, ""},
		"SCRAM-SHA-256": {
			"SCRAM-SHA-256", []string{"n,,n=karen,r=nonce", "c=biws,r=nonce,p=proof"}, "karen",
		},
		"SCRAM escaped": {
			"SCRAM-SHA-1", []string{"n,,n=ka=2cr=3den,r=nonce", "c=biws,r=nonce,p=proof"}, "ka,r=en",
		},
		"SCRAM for somebody else": {
			"SCRAM-SHA-1-PLUS", []string{"p=tls-unique,a=karen,n=admin,r=nonce", "c=x,r=nonce,p=proof"},
			"karen",
		},
		"SCRAM malformed":           {"SCRAM-SHA-256", []string{"karen", "x"}, ""},
		"a mechanism without names": {"X-TOKEN", []string{"karen"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// With a limit of one login, the refusal shows who the session is counted as.
				var counted string
				options := &limits.Options{
					MaxLoginsPerUser: 1,
					OnEvent:          func(e limits.Event) { counted = e.User },
				}
				s := serveSessions(
					t, &backend{}, saslBackend(&backend{}, test.mech, len(test.messages), 0), options,
				)

				answer := authenticate(s.dial("192.0.2.1"), test.mech, test.messages...)
				assert.Contains(t, answer, "OK")
				s.inUse(limits.Stats{Connections: 1, Sessions: 1})

				answer = authenticate(s.dial("192.0.2.1"), test.mech, test.messages...)
				if test.user == "" {
					assert.Contains(t, answer, "OK", "a user who is not known has no limit")
				} else {
					assert.Equal(t, noUserLogins, answer)
				}
				assert.Equal(t, test.user, counted)

				s.Server.Close()
				synctest.Wait()
				s.inUse(limits.Stats{})
			})
		})
	}
}

func TestASASLUserWhoIsNotKnownIsCountedByAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newSession := saslBackend(&backend{}, "X-TOKEN", 1, 0)
		s := serveSessions(
			t, &backend{}, newSession, &limits.Options{MaxLoginsPerUser: 1, MaxLoginsPerIP: 2},
		)
		for _, want := range []string{"OK", "OK", noIPLogins} {
			assert.Contains(t, authenticate(s.dial("192.0.2.1"), "X-TOKEN", "secret"), want)
		}
	})
}

func TestUsernameKnowsBetterThanTheSASLExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newSession := saslBackend(&backend{}, "X-TOKEN", 1, 0)
		options := &limits.Options{
			MaxLoginsPerUser: 1,
			Username:         func(imapserver.Session) string { return "karen" },
		}
		s := serveSessions(t, &backend{}, newSession, options)
		assert.Contains(t, authenticate(s.dial("192.0.2.1"), "X-TOKEN", "secret"), "OK")
		assert.Equal(t, noUserLogins, authenticate(s.dial("192.0.2.1"), "X-TOKEN", "secret"))
	})
}

func TestSASLStorm(t *testing.T) {
	for mech, messages := range map[string][]string{
		"PLAIN":         {"\x00karen\x00pass"},
		"LOGIN":         {"karen", "pass"},
		"SCRAM-SHA-256": {"n,,n=karen,r=nonce", "c=biws,r=nonce,p=proof", ""},
	} {
		t.Run(mech, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{}
				newSession := saslBackend(b, mech, len(messages), time.Second)
				s := serveSessions(t, b, newSession, limits.DefaultOptions())
				var mu sync.Mutex
				admitted, refused := 0, 0
				var all sync.WaitGroup
				for range 200 {
					all.Go(func() {
						answer := authenticate(s.dial("192.0.2.1"), mech, messages...)
						mu.Lock()
						defer mu.Unlock()
						if strings.HasPrefix(answer, "OK") {
							admitted++
						} else if assert.Equal(t, noUserLogins, answer) {
							refused++
						}
					})
				}
				all.Wait()
				assert.Equal(t, 20, admitted)
				assert.Equal(t, 180, refused)
				assert.EqualValues(t, 20, b.checks.Load())
			})
		})
	}
}

func TestMaxFailedLoginsUnderSASL(t *testing.T) {
	for mech, messages := range map[string][]string{
		"PLAIN":         {"\x00karen\x00guess"},
		"LOGIN":         {"karen", "guess"},
		"SCRAM-SHA-256": {"n,,n=karen,r=nonce", "guess"},
		"XOAUTH2":       {"user=karen\x01auth=Bearer guess\x01\x01"},
	} {
		t.Run(mech, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{}
				s := serveSessions(t, b, saslBackend(b, mech, len(messages), 0), limits.DefaultOptions())
				c := s.dial("192.0.2.1")
				for range 3 {
					assert.Equal(t, authFailed, authenticate(c, mech, messages...))
				}
				// Until the BYE nothing reaches the backend, not even the request for its mechanisms.
				assert.NotContains(t, strings.Join(c.Cmd("b CAPABILITY"), " "), "AUTH=")
				assert.Equal(t, "NO [LIMIT] Too many failed login attempts", authenticate(c, mech, messages...))
				assert.Equal(t, []string{"* BYE Too many failed login attempts"}, c.Rest())
				assert.EqualValues(t, 3, b.checks.Load())
			})
		})
	}
}

func TestAnExchangeThatIsBrokenOffLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serveSessions(t, b, saslBackend(b, "LOGIN", 2, 0), &limits.Options{MaxLoginsPerUser: 1})
		cancels := s.dial("192.0.2.1")
		cancels.Send("a AUTHENTICATE LOGIN")
		cancels.Line()
		cancels.Send(b64("karen"))
		cancels.Line()
		cancels.Send("*")
		assert.Equal(t, "BAD AUTHENTICATE cancelled", imaptest.Last(cancels.Answer("a")))

		silent := s.dial("192.0.2.1")
		silent.Send("a AUTHENTICATE LOGIN")
		silent.Line()
		silent.Send(b64("karen"))
		silent.Line()

		s.inUse(limits.Stats{Connections: 2})
		took := elapsed(func() {
			assert.Contains(t, authenticate(s.dial("192.0.2.1"), "LOGIN", "karen", "pass"), "OK")
		})
		assert.Zero(t, took, "nobody waits for an exchange that does not go on")
	})
}

func TestAnUnknownMechanismIsTheBackendsToRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serveSessions(t, b, saslBackend(b, "LOGIN", 2, 0), limits.DefaultOptions())
		c := s.dial("192.0.2.1")
		for range 5 {
			assert.Equal(t, "NO No such mechanism", imaptest.Last(c.Cmd("a AUTHENTICATE PLAIN")))
		}
		assert.Contains(t, strings.Join(c.Cmd("b CAPABILITY"), " "), "AUTH=LOGIN")
	})
}

func TestLimitsDoNotInventInterfaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var session imapserver.Session
		limiter := limits.New(nil)
		server := imaptest.NewServer(
			t,
			&imapserver.Options{
				NewSession: func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
					var err error
					session, _, err = limiter.Wrap((&backend{}).NewSession)(conn)
					return session, nil, err
				},
			},
		)
		server.Dial().Line()
		_, hasSASL := session.(imapserver.SessionSASL)
		assert.False(t, hasSASL)
		_, hasUnauthenticate := session.(imapserver.SessionUnauthenticate)
		assert.False(t, hasUnauthenticate)
		_, hasAppendLimit := session.(imapserver.SessionAppendLimit)
		assert.False(t, hasAppendLimit)
	})
}

// go-sasl's own OAUTHBEARER server rejects a token with a challenge, and returns an error after the
// client's reply.
func TestMaxFailedLoginsWithBearerTokens(t *testing.T) {
	for name, reply := range map[string]string{"replied": "AQ==", "cancelled": "*"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				checks := 0
				s := serveSessions(
					t,
					&backend{},
					func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
						return saslSession{
							&backendSession{backend: &backend{}},
							map[string]func() sasl.Server{"OAUTHBEARER": func() sasl.Server {
								return sasl.NewOAuthBearerServer(
									func(options sasl.OAuthBearerOptions) *sasl.OAuthBearerError {
										checks++
										return &sasl.OAuthBearerError{Status: "invalid_token"}
									},
								)
							}},
						}, nil, nil
					},
					limits.DefaultOptions(),
				)
				c := s.dial("192.0.2.1")
				guess := "a AUTHENTICATE OAUTHBEARER " + b64("n,a=karen,\x01auth=Bearer guess\x01\x01")
				for range 2 {
					c.Send(guess)
					c.Line()
					c.Send(reply)
					c.Answer("a")
				}
				assert.Equal(t, authFailed, imaptest.Last(c.Cmd(guess)))
				assert.Equal(t, []string{"* BYE Too many failed login attempts"}, c.Rest())
				assert.Equal(t, 3, checks)
			})
		})
	}
}

func TestAnEmptyMessageHidesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// This backend treats an empty initial response like none, as some do.
		b := &backend{}
		s := serveSessions(
			t,
			b,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return saslSession{
					&backendSession{backend: b},
					map[string]func() sasl.Server{"LOGIN": func() sasl.Server {
						return &stepServer{3, func(string) error { return nil }}
					}},
				}, nil, nil
			},
			&limits.Options{MaxLoginsPerUser: 1},
		)
		login := func() string { return authenticate(s.dial("192.0.2.1"), "LOGIN", "", "karen", "pass") }
		assert.Contains(t, login(), "OK")
		assert.Equal(t, noUserLogins, login())
	})
}

func TestAPasswordIsNeverTakenForAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []limits.Event
		options := &limits.Options{
			MaxFailedLogins: 1,
			OnEvent:         func(e limits.Event) { events = append(events, e) },
		}
		s := serveSessions(
			t,
			&backend{},
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return saslSession{
					&backendSession{backend: &backend{}},
					map[string]func() sasl.Server{"LOGIN": func() sasl.Server {
						return &asksForPassword{}
					}},
				}, nil, nil
			},
			options,
		)
		c := s.dial("192.0.2.1")
		c.Send("a AUTHENTICATE LOGIN =")
		c.Line()
		c.Send(b64("secret"))
		assert.Equal(t, authFailed, imaptest.Last(c.Answer("a")))
		assert.Len(t, events, 2)
		for _, e := range events {
			assert.Empty(t, e.User)
		}
	})
}

// asksForPassword is a SASL server that accepts an empty user name.
type asksForPassword struct{ asked bool }

func (a *asksForPassword) Next(response []byte) ([]byte, bool, error) {
	if !a.asked {
		a.asked = true
		return []byte("Password:"), false, nil
	}
	return nil, false, imapserver.ErrAuthFailed
}

func TestAProvenClientThatDoesNotGoOnHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serveSessions(
			t, b, saslBackend(b, "SCRAM-SHA-256", 3, 0), &limits.Options{MaxLoginsPerUser: 5},
		)
		messages := []string{"n,,n=karen,r=nonce", "c=biws,r=nonce,p=proof"}
		for i, leave := range []func(*imaptest.Conn){
			func(*imaptest.Conn) {},
			func(c *imaptest.Conn) {
				c.Send("*")
				c.Answer("a")
				c.Send("b AUTHENTICATE SCRAM-SHA-256")
				c.Line()
			},
			func(c *imaptest.Conn) { c.Close() },
		} {
			c := s.dial("192.0.2.1")
			c.Send("a AUTHENTICATE SCRAM-SHA-256")
			for _, message := range messages {
				c.Line()
				c.Send(b64(message))
			}
			c.Line()
			synctest.Wait()
			assert.Equal(t, 1, s.limiter.Stats().LoginChecks)
			leave(c)
			synctest.Wait()
			if i > 0 {
				assert.Zero(t, s.limiter.Stats().LoginChecks, "it gave its check back at once")
			}
			took := elapsed(func() {
				other := s.dial("192.0.2.1")
				other.Send("a AUTHENTICATE SCRAM-SHA-256 " + b64(messages[0]))
				other.Line()
				other.Close()
			})
			assert.LessOrEqual(t, took, 2*time.Second)
		}
		time.Sleep(2 * time.Second)
		assert.Zero(t, s.limiter.Stats().LoginChecks)
	})
}

func TestEachStepOfAnExchangeHasItsOwnTimeToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const mech, proof = "SCRAM-SHA-256", "c=biws,r=nonce,p=proof"
		b := &backend{}
		s := serveSessions(
			t, b, saslBackend(b, mech, 3, 29*time.Second), &limits.Options{MaxLoginChecks: 1},
		)
		other := s.dial("192.0.2.2")
		other.Send("a AUTHENTICATE " + mech + " " + b64("n,,n=adam,r=nonce"))
		other.Line()

		c := s.dial("192.0.2.1")
		answer := make(chan string)
		go func() { answer <- authenticate(c, mech, "n,,n=karen,r=nonce", proof, "") }()
		time.Sleep(time.Second)
		other.Send(b64(proof)) // it gets the check after karen's, and makes her last step wait
		assert.Regexp(t, "^OK ", <-answer)
		other.Line()
	})
}

// An exchange keeps its attempt between two steps. It must not be lost in the next one.
func TestUserKeyThatPanicsInAnExchangeKeepsNoCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		b := &backend{}
		s := serveSessions(t, b, saslBackend(b, "SCRAM-SHA-1", 3, 0), &limits.Options{
			MaxLoginsPerUser: 5,
			UserKey: func(name string) string {
				if broken.Load() {
					panic("UserKey is broken")
				}
				return name
			},
		})
		c := s.dial("192.0.2.1")
		c.Send("a AUTHENTICATE SCRAM-SHA-1")
		for _, message := range []string{"n,,n=karen,r=x", "c=x,r=x,p=x"} {
			c.Line()
			c.Send(b64(message))
		}
		c.Line()
		broken.Store(true)
		c.Send("")
		c.Rest()
		broken.Store(false)
		assert.Contains(t, s.Log(), "UserKey is broken")
		time.Sleep(time.Minute)
		s.inUse(limits.Stats{})
	})
}
