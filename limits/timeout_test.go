package limits_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"runtime"
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

const byeNoLogin = "* BYE No login within the time allowed"

func TestLoginTimeoutCountsFromTheStartWhateverTheClientSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []limits.Event
		options := limits.DefaultOptions()
		options.OnEvent = func(e limits.Event) { events = append(events, e) }
		s := serve(t, &backend{}, options)
		start := time.Now()
		c := s.dial("192.0.2.1")
		for range 5 {
			time.Sleep(11 * time.Second)
			assert.True(t, imaptest.IsOK(c.Cmd("a NOOP")))
		}
		assert.Equal(t, []string{byeNoLogin}, c.Rest())
		assert.Equal(t, time.Minute, time.Since(start))
		require.Len(t, events, 1)
		assert.Equal(t, "LoginTimeout", events[0].Limit)
		synctest.Wait()
		s.inUse(limits.Stats{})
	})
}

func TestLoginTimeoutDoesNotTouchWhoIsLoggedIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, limits.DefaultOptions())
		c, _ := s.login("192.0.2.1", "karen")
		time.Sleep(20 * time.Minute)
		assert.True(t, imaptest.IsOK(c.Cmd("b NOOP")))
	})
}

func TestALoginThatIsBeingCheckedWhenTheTimeIsUpIsNotAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{login: slowCheck(25 * time.Second)}, limits.DefaultOptions())
		c := s.dial("192.0.2.1")
		for range 2 {
			assert.Equal(t, authFailed, imaptest.Last(c.Cmd("a LOGIN karen guess")))
		}
		c.Send("a LOGIN karen pass")
		assert.Equal(t, []string{byeNoLogin}, c.Rest())
		time.Sleep(time.Minute)
		s.inUse(limits.Stats{})
	})
}

// A login that completes after its time is up takes nobody's place.
func TestALoginThatComesTooLateEvictsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		b := &backend{login: func(string, string) error {
			time.Sleep(took)
			return nil
		}}
		s := serve(t, b, &limits.Options{
			MaxLoginsPerUser: 1, EvictIdle: time.Second, LoginTimeout: 10 * time.Second,
		})
		silent, _ := s.login("192.0.2.1", "karen")
		time.Sleep(time.Minute)
		took = 20 * time.Second
		late := s.dial("192.0.2.1")
		late.Send("a LOGIN karen pass")
		assert.Equal(t, []string{byeNoLogin}, late.Rest())
		time.Sleep(time.Minute)
		assert.True(t, imaptest.IsOK(silent.Cmd("n NOOP")))
		assert.Zero(t, s.limiter.Stats().Total.Evicted)
	})
}

func TestLoginTimeoutCountsAnewAfterUnauthenticate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		limiter := limits.New(&limits.Options{LoginTimeout: time.Minute})
		server := imaptest.NewServer(t, &imapserver.Options{
			NewSession: limiter.Wrap(
				func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
					return unauthenticating{&backendSession{backend: b}}, nil, nil
				},
			),
			InsecureAuth: true,
			Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUnauthenticate: {}},
		})
		c := server.Login("karen", "pass")
		time.Sleep(10 * time.Minute)
		start := time.Now()
		assert.True(t, imaptest.IsOK(c.Cmd("a UNAUTHENTICATE")))
		time.Sleep(29 * time.Second)
		c.Cmd("b NOOP")
		time.Sleep(29 * time.Second)
		c.Cmd("b NOOP")
		assert.Equal(t, []string{byeNoLogin}, c.Rest())
		assert.Equal(t, time.Minute, time.Since(start))
	})
}

func TestSetOptionsChangesTheLoginTimeoutOfConnectionsThatAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{})
		start := time.Now()
		c := s.dial("192.0.2.1")
		time.Sleep(10 * time.Second)
		require.NoError(t, s.limiter.SetOptions(&limits.Options{LoginTimeout: 15 * time.Second}))
		assert.Equal(t, []string{byeNoLogin}, c.Rest())
		assert.Equal(t, 15*time.Second, time.Since(start))
	})
}

func TestEvictIdleEndsTheSessionThatIsSilentLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []limits.Event
		s := serve(t, &backend{}, &limits.Options{
			MaxLoginsPerUser: 3, EvictIdle: 10 * time.Minute,
			OnEvent: func(e limits.Event) { events = append(events, e) },
		})
		other, _ := s.login("192.0.2.1", "bob")
		idles, _ := s.login("192.0.2.1", "karen")
		idles.Send("i IDLE")
		idles.Line()
		busy, _ := s.login("192.0.2.1", "karen")
		silent, _ := s.login("192.0.2.1", "karen")
		time.Sleep(9 * time.Minute)
		_, answer := s.login("192.0.2.1", "karen")
		assert.Equal(t, noUserLogins, answer, "nobody has been silent for long enough")
		assert.True(t, imaptest.IsOK(busy.Cmd("n NOOP")))
		time.Sleep(2 * time.Minute)

		// A wrong password evicts nobody.
		c := s.dial("192.0.2.1")
		assert.Equal(t, authFailed, imaptest.Last(c.Cmd("a LOGIN karen guess")))
		s.inUse(limits.Stats{Connections: 5, Sessions: 4})

		_, answer = s.login("203.0.113.7", "karen")
		assert.Contains(t, answer, "OK")
		assert.Equal(
			t, []string{"* BYE [LIMIT] A newer login of this user took the place of this idle session"},
			silent.Rest(),
		)
		_, answer = s.login("192.0.2.1", "karen")
		assert.Equal(t, noUserLogins, answer)
		assert.True(t, imaptest.IsOK(busy.Cmd("n NOOP")))
		assert.True(t, imaptest.IsOK(other.Cmd("n NOOP")))
		idles.Send("DONE")
		assert.True(t, imaptest.IsOK(idles.Answer("i")))
		var kinds []limits.EventKind
		for _, e := range events {
			kinds = append(kinds, e.Kind)
		}
		assert.Equal(
			t,
			[]limits.EventKind{
				limits.EventRefused, limits.EventFailed, limits.EventEvicted, limits.EventRefused,
			},
			kinds,
		)

		s.Server.Close()
		synctest.Wait()
		s.inUse(limits.Stats{})
	})
}

func TestOfTwoSilentSessionsTheLongerSilentOneMakesRoom(t *testing.T) {
	for range 20 { // the order of the sessions is random
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, &backend{}, &limits.Options{MaxLoginsPerUser: 3, EvictIdle: 10 * time.Minute})
			var silent []*imaptest.Conn
			for range 3 {
				c, _ := s.login("192.0.2.1", "karen")
				silent = append(silent, c)
				time.Sleep(time.Minute)
			}
			assert.True(t, imaptest.IsOK(silent[0].Cmd("n NOOP")))
			time.Sleep(8*time.Minute - 1)
			_, answer := s.login("192.0.2.1", "karen")
			assert.Equal(t, noUserLogins, answer)
			time.Sleep(time.Nanosecond)
			makesRoom := func(evicted *imaptest.Conn) {
				_, answer := s.login("192.0.2.1", "karen")
				assert.Contains(t, answer, "OK")
				assert.Len(t, evicted.Rest(), 1)
			}
			makesRoom(silent[1])
			time.Sleep(3 * time.Minute) // now both of the others have been silent for long enough
			makesRoom(silent[2])
			makesRoom(silent[0])
		})
	}
}

// After the limit has been lowered, several sessions must make room for a login, or it is refused.
func TestEvictionMakesRoomBelowALimitThatHasGoneDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := limits.Options{MaxLoginsPerUser: 4, EvictIdle: 10 * time.Minute}
		s := serve(t, &backend{}, &options)
		var conns []*imaptest.Conn
		for range 4 {
			c, _ := s.login("192.0.2.1", "karen")
			conns = append(conns, c)
		}
		options.MaxLoginsPerUser = 2
		require.NoError(t, s.limiter.SetOptions(&options))
		time.Sleep(9 * time.Minute)
		for _, busy := range conns[2:] {
			assert.True(t, imaptest.IsOK(busy.Cmd("n NOOP")))
		}
		time.Sleep(2 * time.Minute)
		_, answer := s.login("192.0.2.1", "karen")
		assert.Equal(t, noUserLogins, answer, "two are silent, but three have to leave")
		assert.Equal(t, 4, s.limiter.Stats().Sessions)

		time.Sleep(8 * time.Minute)
		assert.True(t, imaptest.IsOK(conns[3].Cmd("n NOOP")))
		_, answer = s.login("192.0.2.1", "karen")
		assert.Contains(t, answer, "OK")
		for _, silent := range conns[:3] {
			assert.Equal(
				t, []string{"* BYE [LIMIT] A newer login of this user took the place of this idle session"},
				silent.Rest(),
			)
		}
		assert.True(t, imaptest.IsOK(conns[3].Cmd("n NOOP")))
		synctest.Wait()
		assert.Equal(t, 2, s.limiter.Stats().Sessions)
	})
}

func TestASessionWithACommandIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(
			t, &backend{search: newWork(time.Hour).do},
			&limits.Options{MaxLoginsPerUser: 1, EvictIdle: time.Minute},
		)
		c := s.selected("karen")
		c.Send("x SEARCH ALL")
		time.Sleep(10 * time.Minute)
		_, answer := s.login("192.0.2.1", "karen")
		assert.Equal(t, noUserLogins, answer)
	})
}

// A session makes room, with EvictIdle or without, if its client has hung up and a command keeps
// the server from noticing.
func TestGhostsMakeRoom(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	running, finish := make(chan struct{}), make(chan struct{})
	b := &backend{search: func(string) error {
		running <- struct{}{}
		<-finish
		return nil
	}}
	events := make(chan limits.Event, 10)
	limiter := limits.New(
		&limits.Options{MaxLoginsPerUser: 2, OnEvent: func(e limits.Event) { events <- e }},
	)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := imapserver.New(
		&imapserver.Options{NewSession: limiter.Wrap(b.NewSession), Logger: log.New(io.Discard, "", 0)},
	)
	go server.Serve(tls.NewListener(listener, imaptest.ServerTLS()))
	t.Cleanup(func() { server.Close() })
	login := func(user string) (*imaptest.Conn, net.Conn, string) {
		conn, err := net.Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		c := imaptest.NewConn(t, tls.Client(conn, imaptest.ClientTLS()))
		c.Line()
		return c, conn, imaptest.Last(c.Cmd("a LOGIN " + user + " pass"))
	}
	ghost, socket, _ := login("karen")
	ghost.Cmd("b SELECT INBOX")
	ghost.Send("x SEARCH ALL")
	<-running
	login("karen")
	_, _, answer := login("karen")
	assert.Equal(t, noUserLogins, answer)
	assert.Equal(t, limits.EventRefused, (<-events).Kind)

	socket.Close()
	for {
		_, _, answer = login("karen")
		if answer != noUserLogins { // the FIN is on its way
			break
		}
		<-events
	}
	assert.Contains(t, answer, "OK")
	assert.Equal(t, limits.EventEvicted, (<-events).Kind)
	assert.Equal(t, 2, limiter.Stats().Sessions)
	assert.Equal(
		t, 1, limiter.Stats().Searches, "what the backend does for the ghost still has its slot",
	)
	close(finish)
	server.Close()
	for limiter.Stats().Connections > 0 {
		runtime.Gosched()
	}
	assert.Equal(t, limits.Stats{
		Total: limits.Totals{Evicted: 1}, Refused: limiter.Stats().Refused,
	}, limiter.Stats())
}

// Evicted sessions may still have a command in the backend. There are never more of them than the
// limit, even if that was lowered.
func TestGhostsAreBounded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	running, finish := make(chan struct{}), make(chan struct{})
	b := &backend{search: func(string) error {
		running <- struct{}{}
		<-finish
		return nil
	}}
	limiter := limits.New(nil)
	address := listenTCP(t, plain, limiter.Wrap(b.NewSession))
	ghosts := func(user string, max, attempts int) (admitted int) {
		require.NoError(t, limiter.SetOptions(&limits.Options{MaxLoginsPerUser: max}))
		for range attempts {
			c := imaptest.DialTCP(t, address)
			if !imaptest.IsOK(c.Cmd("a LOGIN " + user + " pass")) {
				continue
			}
			admitted++
			c.Cmd("b SELECT INBOX")
			c.Send("x SEARCH ALL")
			<-running
			c.Close() // over loopback the server's socket knows at once
		}
		return admitted
	}
	assert.Equal(t, 4, ghosts("karen", 2, 10))
	assert.Equal(t, 2, limiter.Stats().Sessions)
	assert.Equal(t, 4, ghosts("bob", 4, 4))
	assert.Zero(t, ghosts("bob", 2, 10), "three would have to leave, and could linger")
	close(finish)
	for limiter.Stats().Connections > 0 {
		runtime.Gosched()
	}
	assert.Equal(t, limits.Stats{
		Total: limits.Totals{Evicted: 2}, Refused: limiter.Stats().Refused,
	}, limiter.Stats())
}

// The backend returns from IDLE at once, as imapmemserver does while no mailbox is selected. The
// client gets the answer only after DONE.
func TestAClientInIdleIsNotSilentWhateverTheBackendDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serveSessions(
			t,
			b,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return &briefIdle{backendSession{backend: b}}, nil, nil
			},
			&limits.Options{MaxLoginsPerUser: 1, EvictIdle: 10 * time.Minute},
		)
		c, _ := s.login("192.0.2.1", "karen")
		c.Send("i IDLE")
		c.Line()
		time.Sleep(15 * time.Minute)
		assert.Equal(t, "IDLE", s.limiter.Sessions()[0].Command)
		_, answer := s.login("192.0.2.2", "karen")
		assert.Equal(t, noUserLogins, answer)
		c.Send("DONE")
		assert.True(t, imaptest.IsOK(c.Answer("i")))
	})
}

type briefIdle struct{ backendSession }

func (*briefIdle) Idle(*imapserver.UpdateWriter, <-chan struct{}) error { return nil }

func TestASessionInALongStoreIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serveSessions(
			t,
			b,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return &slowStore{backendSession{backend: b}}, nil, nil
			},
			&limits.Options{MaxLoginsPerUser: 1, EvictIdle: 10 * time.Minute},
		)
		c := s.selected("karen")
		c.Send(`x STORE 1:* +FLAGS (\Seen)`)
		time.Sleep(15 * time.Minute)
		_, answer := s.login("192.0.2.2", "karen")
		assert.Equal(t, noUserLogins, answer)
		assert.True(t, imaptest.IsOK(c.Answer("x")))
	})
}

type slowStore struct{ backendSession }

func (s *slowStore) Store(
	*imapserver.FetchWriter, imap.NumSet, *imap.StoreFlags, *imap.StoreOptions,
) error {
	time.Sleep(20 * time.Minute)
	return nil
}

// The limit goes down, and the next login takes the place of several sessions. None of them may
// stay, as they do not count any more.
func TestEveryEvictedSessionEndsIfOnEventPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{
			MaxLoginsPerUser: 4, EvictIdle: time.Minute,
			OnEvent: func(limits.Event) { panic("OnEvent") },
		}
		s := serve(t, &backend{}, options)
		var idle []*imaptest.Conn
		for range 4 {
			c, answer := s.login("192.0.2.1", "karen")
			assert.Contains(t, answer, "OK")
			idle = append(idle, c)
		}
		time.Sleep(time.Hour / 2)
		options.MaxLoginsPerUser = 2
		assert.NoError(t, s.limiter.SetOptions(options))
		newest := s.dial("192.0.2.1")
		newest.Send("a LOGIN karen pass")
		newest.Rest()
		for i, c := range idle[:3] {
			assert.Equal(
				t, []string{"* BYE [LIMIT] A newer login of this user took the place of this idle session"},
				c.Rest(), "%d", i,
			)
		}
		assert.True(t, imaptest.IsOK(idle[3].Cmd("a NOOP")))
	})
}

// A timer reports these, and not a command, whose panic go-imap would catch.
func TestOnEventThatPanicsInATimerEndsTheConnectionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := serveUploads(t, 0, limits.Options{StallTimeout: stallTimeout})
		options := s.limiter.Options()
		options.LoginTimeout = 10 * time.Second
		options.OnEvent = func(e limits.Event) {
			if e.Kind == limits.EventTimedOut || e.Kind == limits.EventStalled {
				panic("OnEvent is broken")
			}
		}
		assert.NoError(t, s.limiter.SetOptions(options))
		stalled := s.selected("karen")
		stalled.Send("a APPEND INBOX {1000}")
		late := s.dial("192.0.2.2")
		assert.Empty(t, late.Rest())
		assert.Equal(t, []string{"+ Ready for literal data"}, stalled.Rest())
		refused := s.limiter.Stats().Refused
		assert.EqualValues(t, 1, refused.LoginTimeout)
		assert.EqualValues(t, 1, refused.Stalled)
	})
}
