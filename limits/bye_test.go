package limits_test

import (
	"bytes"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// lateAnswers is a listener whose connections hold a tagged NO back until a BYE overtakes it, or
// for several times the delay of a BYE.
type lateAnswers struct{ net.Listener }

func (l *lateAnswers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &lateAnswer{Conn: conn, bye: make(chan struct{})}, err
}

type lateAnswer struct {
	net.Conn
	once sync.Once
	bye  chan struct{}
}

func (c *lateAnswer) NetConn() net.Conn { return c.Conn }

func (c *lateAnswer) Write(p []byte) (int, error) {
	switch {
	case bytes.HasPrefix(p, []byte("* BYE")):
		defer c.once.Do(func() { close(c.bye) })
	case bytes.HasPrefix(p, []byte("a NO")):
		late := time.NewTimer(450 * time.Millisecond)
		defer late.Stop()
		select {
		case <-c.bye:
		case <-late.C:
		}
	}
	return c.Conn.Write(p)
}

func TestTheAnswerIsOutBeforeTheBYEHoweverLateItIs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells what is out")
	}
	for name, options := range map[string]*limits.Options{
		"too many logins":   {MaxLoginsPerUser: 1},
		"too many failures": {MaxFailedLogins: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &backend{}
			limiter := limits.New(options)
			address := listenTCP(t, func(l net.Listener) net.Listener {
				return &lateAnswers{l}
			}, limiter.Wrap(b.NewSession))
			login := func(command string) []string {
				c := imaptest.DialTCP(t, address)
				c.Send(command)
				if command == "k LOGIN karen pass" {
					return []string{c.Line()}
				}
				return c.Rest()
			}
			if options.MaxLoginsPerUser > 0 {
				login("k LOGIN karen pass")
			}
			answer := login(
				"a LOGIN karen " + map[bool]string{true: "pass", false: "x"}[options.MaxLoginsPerUser > 0],
			)
			require.Len(t, answer, 2)
			assert.Contains(t, answer[0], "a NO ")
			assert.Contains(t, answer[1], "* BYE ")
		})
	}
}

// The time that callbacks take after a login was refused does not count as the delay of its BYE.
func TestTheBYEWaitsForCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{MaxFailedLogins: 1}
		options.LimitsFor = func(c limits.Client) limits.ClientLimits {
			if c.User == "" {
				time.Sleep(time.Second) // LimitsFor is called once more after a failed login
			}
			return c.Limits
		}
		s := serve(t, &backend{}, options)
		c := s.dial("192.0.2.1")
		c.Send("a LOGIN karen x")
		assert.Equal(t, []string{"a " + authFailed, "* BYE Too many failed login attempts"}, c.Rest())
	})
}

// distant is a listener of connections on which everything happens a moment later.
type distant struct{ net.Listener }

type distantConn struct{ net.Conn }

func (l *distant) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return distantConn{conn}, err
}

func (c distantConn) Write(p []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return c.Conn.Write(p)
}

func (c distantConn) Close() error {
	time.Sleep(10 * time.Millisecond)
	return c.Conn.Close()
}

// A client that is disconnected twice reads one BYE, whatever it is doing. If the second BYE waits
// for the first one's lock, this test hangs.
func TestTwoDisconnectsSayOneBYE(t *testing.T) {
	for _, command := range []string{"", "x FETCH 1 FLAGS"} {
		synctest.Test(t, func(t *testing.T) {
			b := &backend{fetch: newWork(time.Second).do}
			limiter := limits.New(nil)
			server := imapserver.New(&imapserver.Options{
				NewSession: limiter.Wrap(b.NewSession), InsecureAuth: true,
			})
			ln := imaptest.Listen()
			go server.Serve(&distant{ln})
			defer server.Close()
			conn, err := ln.Dial()
			require.NoError(t, err)
			c := imaptest.NewConn(t, conn)
			c.Line()
			for _, command := range []string{"a LOGIN karen pass", "b SELECT INBOX"} {
				require.True(t, imaptest.IsOK(c.Cmd(command)))
			}
			if command != "" {
				c.Send(command)
				synctest.Wait()
			}
			id := limiter.Sessions()[0].ID
			require.True(t, limiter.Disconnect(id, "Good night"))
			require.True(t, limiter.Disconnect(id, "Once more"))
			assert.Len(t, c.Rest(), 1)
			time.Sleep(time.Minute) // all is closed
		})
	}
}

func TestDisconnect(t *testing.T) {
	const text = "\x01Maintenance\r\n* BYE y"
	bye := []string{"* BYE  Maintenance  * BYE y"}
	id := func(s *server, user string) uint64 {
		for _, info := range s.limiter.Sessions() {
			if info.User == user {
				return info.ID
			}
		}
		return 0
	}
	for name, begin := range map[string]func(s *server, c *imaptest.Conn){
		"silent": func(*server, *imaptest.Conn) {},
		"IDLE":   func(_ *server, c *imaptest.Conn) { c.Send("i IDLE"); c.Line() },
		"waits": func(s *server, c *imaptest.Conn) {
			s.selected("bob").Send("x FETCH 1 FLAGS")
			synctest.Wait()
			c.Send("x FETCH 1 FLAGS")
		},
		"waits for an equal SEARCH": func(s *server, c *imaptest.Conn) {
			s.selected("karen").Send("x UID SEARCH ALL")
			synctest.Wait()
			c.Send("x UID SEARCH ALL")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{fetch: newWork(time.Minute).do, search: newWork(time.Minute).do}
				var events []limits.Event
				s := serve(
					t, b,
					&limits.Options{MaxFetches: 1, OnEvent: func(e limits.Event) { events = append(events, e) }},
				)
				assert.False(t, s.limiter.Disconnect(7, text))
				c := s.selected("karen")
				victim := id(s, "karen")
				begin(s, c)
				synctest.Wait()
				start := time.Now()
				require.True(t, s.limiter.Disconnect(victim, text))
				assert.Equal(t, bye, c.Rest())
				assert.Zero(t, time.Since(start))
				synctest.Wait()
				assert.False(t, s.limiter.Disconnect(victim, text), "it is gone")
				require.NotEmpty(t, events)
				assert.Equal(t, limits.Event{
					Kind: limits.EventDisconnected, User: "karen", Addr: events[0].Addr,
				}, events[0])
				assert.EqualValues(t, 1, s.limiter.Stats().Total.Disconnected)
			})
		})
	}
}

// The connection is closed even if its client does not read, and even if its command runs in the
// backend.
func TestDisconnectWhoDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{fetch: newWork(time.Hour / 2).do}, &limits.Options{})
		c := s.selected("karen")
		c.Send("x FETCH 1 FLAGS")
		synctest.Wait()
		require.True(t, s.limiter.Disconnect(s.limiter.Sessions()[0].ID, "Go away"))
		start := time.Now()
		assert.Equal(t, []string{"* BYE Go away"}, c.Rest())
		assert.Zero(t, time.Since(start))
	})
}
