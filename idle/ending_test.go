package idle_test

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// A client whose DONE comes with the end of MaxDuration reads either the OK or the BYE.
func TestDONEAtMaxDuration(t *testing.T) {
	for _, mode := range []idle.Mode{idle.On, idle.Poll, idle.Off} {
		for range 200 {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend()
				server := serve(
					t,
					idle.Wrap(
						sessions(b), &idle.Options{Mode: mode, MaxDuration: time.Minute, PollInterval: time.Hour},
					),
				)
				c := server.Login("karen", "pass")
				c.Send("i IDLE")
				time.Sleep(time.Minute)
				io.WriteString(c.Conn, "DONE\r\n") // or it is closed already
				synctest.Wait()
				c.Conn.(interface{ CloseWrite() error }).CloseWrite()
				var last []string
				for _, line := range c.Rest() {
					if strings.HasPrefix(line, "i ") || strings.HasPrefix(line, "* BYE") {
						last = append(last, line)
					}
				}
				assert.Len(t, last, 1)
			})
		}
	}
}

// chatty is a session whose Idle and Poll write more than fits into a connection.
type chatty struct {
	imaptest.Stub
	failed chan struct{}
	closed chan struct{}
}

func (c chatty) Poll(w *imapserver.UpdateWriter, _ bool) error {
	defer close(c.failed)
	return w.WriteMailboxFlags([]imap.Flag{imap.Flag(strings.Repeat("x", 1<<20))})
}

func (c chatty) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	err := c.Poll(w, true)
	<-stop
	return err
}

func (c chatty) Close() error {
	close(c.closed)
	return nil
}

// A client in IDLE that reads nothing, and makes what is written wait, is gone soon after
// MaxDuration. A bubble cannot show that: go-imap waits for what is written with a mutex.
func TestMaxDurationOfAClientThatDoesNotRead(t *testing.T) {
	for _, mode := range []idle.Mode{idle.On, idle.Poll} {
		b := chatty{failed: make(chan struct{}), closed: make(chan struct{})}
		server := serve(
			t,
			idle.Wrap(func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return b, nil, nil
			}, &idle.Options{
				Mode: mode, MaxDuration: 100 * time.Millisecond, PollInterval: time.Millisecond,
			}),
		)
		conn := server.DialFrom("192.0.2.1")
		defer conn.Close()
		io.WriteString(conn, "a LOGIN karen pass\r\nb IDLE\r\n")
		for _, done := range []chan struct{}{b.failed, b.closed} {
			select {
			case <-done:
			case <-time.After(20 * time.Second): // go-imap itself waits for 30
				t.Fatalf("with mode %v the connection is still there", mode)
			}
		}
	}
}

// brief is a session whose Idle does not wait, as that of imapmemserver while no mailbox is
// selected.
type brief struct {
	imaptest.Stub
	end func() error
}

func (b brief) Idle(*imapserver.UpdateWriter, <-chan struct{}) error { return b.end() }

// To the client IDLE goes on: it is told nothing before it sends DONE.
func TestMaxDurationWhereTheBackendHasEnoughOfIdle(t *testing.T) {
	for name, end := range map[string]func() error{
		"no news":  func() error { return nil },
		"an error": func() error { return imapserver.ErrAuthFailed },
		"a panic":  func() error { panic("no mailbox") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := serve(
					t,
					idle.Wrap(func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
						return brief{end: end}, nil, nil
					}, &idle.Options{MaxDuration: 10 * time.Minute}),
				)
				c := server.Login("karen", "pass")
				start := time.Now()
				c.Send("i IDLE")
				assert.Equal(t, []string{"+ idling", "* BYE IDLE took too long"}, c.Rest())
				assert.Equal(t, 10*time.Minute, time.Since(start))
			})
		})
	}
}

// panicking is a session that cannot be polled.
type panicking struct{ imaptest.Stub }

func (panicking) Poll(*imapserver.UpdateWriter, bool) error { panic("no mailbox") }

// go-imap catches the panic and lets the client wait.
func TestAPanickingPollEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := serve(
			t,
			idle.Wrap(func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return panicking{}, nil, nil
			}, &idle.Options{Mode: idle.Poll, MaxPerUser: 1}),
		)
		for range 2 { // the place is free again
			c := server.Login("karen", "pass")
			begin := time.Now()
			c.Send("a IDLE")
			assert.Equal(t, []string{"+ idling", "* BYE Cannot look for updates"}, c.Rest())
			assert.LessOrEqual(t, time.Since(begin), 30*time.Second)
			synctest.Wait() // the client reads the BYE before the place is free
		}
		assert.Contains(t, server.Log(), "no mailbox")
	})
}

// departing is a session that says when it is polled though nobody is logged in.
type departing struct {
	imaptest.Stub
	gone  atomic.Bool
	stray atomic.Bool
}

func (d *departing) Poll(*imapserver.UpdateWriter, bool) error {
	if d.gone.Load() {
		d.stray.Store(true)
	}
	return nil
}

func (d *departing) Unauthenticate() error {
	d.gone.Store(true)
	return nil
}

// A client that leaves IDLE without DONE may log out before the session has noticed.
func TestNoPollAfterUNAUTHENTICATE(t *testing.T) {
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			b := &departing{}
			server := imaptest.NewServer(t, &imapserver.Options{
				NewSession: idle.Wrap(
					func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
						return b, nil, nil
					},
					&idle.Options{Mode: idle.Off},
				),
				InsecureAuth: true,
				Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUnauthenticate: {}},
			})
			c := server.Login("karen", "pass")
			c.Send("a IDLE", "x", "b UNAUTHENTICATE")
			assert.True(t, imaptest.IsOK(c.Answer("b")))
			synctest.Wait()
			require.False(t, b.stray.Load())
		})
	}
}
