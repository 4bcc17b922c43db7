package limits_test

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

func TestMaxConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{MaxConnections: 2})
		first := s.dial("192.0.2.1")
		s.dial("192.0.2.2")

		refused := imaptest.NewConn(t, s.DialFrom("192.0.2.3"))
		assert.Equal(t, []string{"* BYE [LIMIT] Too many connections"}, refused.Rest())
		assert.EqualValues(
			t, 2, s.connections.Load(), "the backend hears nothing of a refused connection",
		)
		s.inUse(limits.Stats{Connections: 2})

		first.Close()
		synctest.Wait()
		s.dial("192.0.2.3")
		assert.EqualValues(t, 1, s.limiter.Stats().Refused.Connections)

		s.Server.Close()
		synctest.Wait()
		s.inUse(limits.Stats{})
	})
}

func TestDryRunRefusesNoConnection(t *testing.T) {
	for _, options := range []limits.Options{{MaxConnections: 1}, {MaxConnectionsPerIP: 1}} {
		synctest.Test(t, func(t *testing.T) {
			options.DryRun = true
			s := serve(t, &backend{}, &options)
			s.dial("192.0.2.1")
			s.dial("192.0.2.1").Close()
			synctest.Wait()
			s.inUse(limits.Stats{Connections: 1})
			refused := s.limiter.Stats().Refused
			assert.EqualValues(
				t, 1, refused.Connections+refused.ConnectionsPerIP, "it is told what would have been refused",
			)
			assert.NotContains(t, s.Log(), "panic")
		})
	}
}

func TestConnectionsWithoutAnAddressHaveNoLimitOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{MaxConnectionsPerIP: 1})
		s.dial("")
		s.dial("")
		s.inUse(limits.Stats{Connections: 2})
	})
}

func TestMaxConnectionsPerIP(t *testing.T) {
	for name, test := range map[string]struct{ here, same, other string }{
		"IPv4":           {"192.0.2.1", "192.0.2.1", "192.0.2.2"},
		"IPv4 in IPv6":   {"192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"},
		"IPv6 /64":       {"2001:db8:1:2::1", "2001:db8:1:2:ffff:1:2:3", "2001:db8:1:3::1"},
		"IPv6 like IPv4": {"2001:db8::c000:201", "2001:db8::1", "192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, &backend{}, &limits.Options{MaxConnectionsPerIP: 1})
				first := s.dial(test.here)
				refused := imaptest.NewConn(t, s.DialFrom(test.same))
				assert.Equal(
					t, []string{"* BYE [LIMIT] Too many connections from this address!"}, refused.Rest(),
				)
				s.dial(test.other)
				s.inUse(limits.Stats{Connections: 2})
				assert.EqualValues(t, 1, s.limiter.Stats().Refused.ConnectionsPerIP)
				first.Close()
				synctest.Wait()
				s.dial(test.same)

				s.Server.Close()
				synctest.Wait()
				s.inUse(limits.Stats{})
			})
		})
	}
}

func TestConnectionsWithoutAnAddressHaveNoIPLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(
			t, &backend{}, &limits.Options{MaxConnectionsPerIP: 1, MaxLoginsPerIP: 1, MaxLoginsPerUser: 2},
		)
		for range 2 {
			_, answer := s.login("", "karen")
			assert.Contains(t, answer, "OK")
		}
		_, answer := s.login("", "karen")
		assert.Equal(t, noUserLogins, answer)
	})
}

func TestNewSessionFails(t *testing.T) {
	closes := 0
	b := &backend{close: func() error { closes++; return nil }}
	for name, test := range map[string]struct {
		newSession limits.NewSessionFunc
		greeting   string
		closes     int
	}{
		"error": {
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return nil, nil, errors.New("no database")
			},
			"* NO [SERVERBUG] Internal server error", 0,
		},
		"BYE": {
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return nil, nil, &imap.Error{Type: imap.StatusResponseTypeBye, Text: "Not today"}
			},
			"* BYE Not today", 0,
		},
		"session and error": {
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return &backendSession{backend: b}, nil, &imap.Error{
					Type: imap.StatusResponseTypeBye, Text: "Not today",
				}
			},
			"* BYE Not today", 1,
		},
		"neither": {
			func(*imapserver.Conn) (
				imapserver.Session, *imapserver.GreetingData, error,
			) {
				return nil, nil, nil
			},
			"* NO [SERVERBUG] Internal server error", 0,
		},
		"panic": {
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) { panic("broken") },
			"", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				closes = 0
				s := serveSessions(t, b, test.newSession, limits.DefaultOptions())
				var want []string
				if test.greeting != "" {
					want = []string{test.greeting}
				}
				assert.Equal(t, want, s.Dial().Rest())
				assert.Equal(t, test.closes, closes)
				synctest.Wait()
				s.inUse(limits.Stats{})
			})
		})
	}
}

func TestClosePanicsAndIsCalledTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{close: func() error { panic("broken") }}, limits.DefaultOptions())
		_, answer := s.login("192.0.2.1", "karen")
		assert.Contains(t, answer, "OK")
		s.Server.Close()
		synctest.Wait()
		s.inUse(limits.Stats{})
	})

	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		limiter := limits.New(limits.DefaultOptions())
		newSession := limiter.Wrap(b.NewSession)
		server := imaptest.NewServer(t, &imapserver.Options{
			NewSession: func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				session, greeting, err := newSession(conn)
				return twice{session}, greeting, err
			},
		})
		first, second := server.Dial(), server.Dial()
		first.Close()
		synctest.Wait()
		assert.Equal(t, 1, limiter.Stats().Connections)
		second.Close()
		synctest.Wait()
		assert.Zero(t, limiter.Stats())
		assert.EqualValues(t, 2, b.closes.Load())
	})
}

// twice closes the session twice, and has no optional interfaces.
type twice struct{ imapserver.Session }

func (s twice) Close() error {
	return errors.Join(s.Session.Close(), s.Session.Close())
}

func TestOnEventThatPanicsUnderDryRunKeepsNoConnection(t *testing.T) {
	options := &limits.Options{
		MaxConnections: 1, DryRun: true, OnEvent: func(limits.Event) { panic("OnEvent is broken") },
	}
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, options)
		s.dial("192.0.2.1")
		assert.Empty(t, imaptest.NewConn(t, s.DialFrom("192.0.2.2")).Rest())
		s.inUse(limits.Stats{Connections: 1})
	})
	limiter := limits.New(options)
	conn, client := net.Pipe()
	defer client.Close()
	accepted, err := limiter.Accept(conn)
	require.NoError(t, err)
	assert.Panics(t, func() { limiter.Accept(conn) })
	accepted.Close()
	assert.Zero(t, limiter.Stats().Connections)
}

// Whether a connection is counted and whether it is refused are decided one after the other.
func TestAConnectionIsCountedOnceWhileDryRunIsSwitched(t *testing.T) {
	options := []*limits.Options{{MaxConnections: 1}, {MaxConnections: 1, DryRun: true}}
	limiter := limits.New(options[0])
	conn, client := net.Pipe()
	defer client.Close()
	first, err := limiter.Accept(conn)
	require.NoError(t, err)
	stop := make(chan struct{})
	var switching sync.WaitGroup
	switching.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				assert.NoError(t, limiter.SetOptions(options[i%2]))
			}
		}
	})
	for range 20000 {
		if accepted, err := limiter.Accept(conn); err == nil {
			accepted.Close()
		}
	}
	close(stop)
	switching.Wait()
	first.Close()
	assert.Zero(t, limiter.Stats().Connections)
}

// Sessions looks at each connection after it has listed them all, so at some that are refused only
// then. It is for the race detector.
func TestSessionsWhileConnectionsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		b := &backend{}
		s := serveSessions(
			t, b, func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				if full.Load() {
					return nil, nil, errors.New("full")
				}
				return b.NewSession(conn)
			}, &limits.Options{},
		)
		for range 30 {
			s.dial("192.0.2.1")
		}
		full.Store(true)
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.limiter.Sessions()
				}
			}
		}()
		for range 200 {
			imaptest.NewConn(t, s.DialFrom("192.0.2.1")).Rest()
		}
		close(stop)
	})
}
