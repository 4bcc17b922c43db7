package limits_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

const (
	inQueue   = "* OK [INPROGRESS] The command waits for its turn"
	isRunning = "* OK [INPROGRESS] The command is running"
)

// progressServer serves with STARTTLS and a notice every ten seconds.
func progressServer(
	t *testing.T, b *backend, options *limits.Options,
) (*imaptest.Server, *limits.Limiter) {
	t.Cleanup(func() { time.Sleep(time.Hour) })
	options.ProgressInterval = 10 * time.Second
	limiter := limits.New(options)
	return imaptest.NewServer(t, &imapserver.Options{
		NewSession: limiter.Wrap(b.NewSession), TLSConfig: imaptest.ServerTLS(), InsecureAuth: true,
	}), limiter
}

func TestTheWaitIsNotSilent(t *testing.T) {
	for name, connect := range map[string]func(*testing.T, *imaptest.Conn) *imaptest.Conn{
		"plain": func(_ *testing.T, c *imaptest.Conn) *imaptest.Conn { return c },
		"STARTTLS": func(t *testing.T, c *imaptest.Conn) *imaptest.Conn {
			c.Cmd("s STARTTLS")
			return imaptest.NewConn(t, tls.Client(c.Conn, imaptest.ClientTLS()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{fetch: newWork(35 * time.Second).do}
				server, limiter := progressServer(
					t, b, &limits.Options{MaxFetches: 1, FetchQueueTimeout: 40 * time.Second},
				)
				open := func() *imaptest.Conn {
					c := server.Dial()
					c.Line()
					c = connect(t, c)
					c.Cmd("a LOGIN karen pass")
					c.Cmd("b SELECT INBOX")
					return c
				}
				first, second, third := open(), open(), open()
				first.Send("x FETCH 1 FLAGS")
				synctest.Wait()
				second.Send("x FETCH 1 FLAGS")
				synctest.Wait()
				third.Send("x FETCH 1 FLAGS")
				start := time.Now()
				for i := range 3 {
					assert.Equal(t, inQueue, second.Line())
					assert.Equal(t, time.Duration(i+1)*10*time.Second, time.Since(start))
				}
				assert.Equal(t, "x OK FETCH completed", second.Line())
				assert.Equal(
					t, []string{inQueue, inQueue, inQueue, "x " + noFetches}, third.Answer("x"),
					"at 40 s it is refused",
				)
				assert.Equal(t, []string{"x OK FETCH completed"}, first.Answer("x"))
				assert.Zero(t, limiter.Stats().FetchesWaiting)
			})
		})
	}
}

func TestARunningSearchIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, share := range []bool{false, true} {
			b := &backend{search: newWork(25 * time.Second).do}
			server, _ := progressServer(t, b, &limits.Options{MaxSearches: 1, ShareSearches: share})
			first, second := server.Login("karen", "pass"), server.Login("karen", "pass")
			for _, c := range []*imaptest.Conn{first, second} {
				c.Cmd("b SELECT INBOX")
				c.Send("x UID SEARCH ALL")
				synctest.Wait()
			}
			assert.Equal(
				t, []string{isRunning, isRunning, "* SEARCH", "x OK UID SEARCH completed"}, first.Answer("x"),
			)
			assert.Equal(
				t, []string{inQueue, inQueue, isRunning, isRunning, "* SEARCH", "x OK UID SEARCH completed"},
				second.Answer("x"),
			)
			// The next one starts anew.
			assert.Equal(
				t, []string{isRunning, isRunning, "* SEARCH", "x OK UID SEARCH completed"},
				first.Cmd("x UID SEARCH ALL"),
			)
		}
	})
}

func TestAShortSearchIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _ := progressServer(t, &backend{search: newWork(9 * time.Second).do}, &limits.Options{})
		c := server.Login("karen", "pass")
		c.Cmd("b SELECT INBOX")
		for range 3 {
			assert.Equal(t, []string{"* SEARCH", "x OK SEARCH completed"}, c.Cmd("x SEARCH ALL"))
		}
	})
}

// The time until a notice counts from its own SEARCH, whatever ran before on the session, and by
// the current interval.
func TestEachSearchHasItsOwnProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lasts time.Duration
		b := &backend{search: func(string) error {
			time.Sleep(lasts)
			return nil
		}}
		server, limiter := progressServer(t, b, &limits.Options{})
		c := server.Login("karen", "pass")
		c.Cmd("b SELECT INBOX")
		search := func(takes time.Duration) (told time.Duration) {
			lasts = takes
			start := time.Now()
			c.Send("x SEARCH ALL")
			for told = 0; ; told = time.Since(start) {
				if line := c.Line(); line != isRunning {
					c.Line()
					return told
				}
			}
		}
		assert.Zero(t, search(4*time.Second))
		assert.Zero(t, search(9*time.Second))
		assert.Equal(t, 10*time.Second, search(11*time.Second))
		time.Sleep(time.Minute)
		assert.Equal(t, 10*time.Second, search(11*time.Second))
		assert.Zero(t, search(time.Second))
		limiter.SetOptions(&limits.Options{ProgressInterval: 3 * time.Second})
		assert.Equal(t, 3*time.Second, search(4*time.Second))
		limiter.SetOptions(&limits.Options{ProgressInterval: 20 * time.Second})
		assert.Equal(t, 20*time.Second, search(21*time.Second))
	})
}

func TestAFailedWriteEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{fetch: newWork(35 * time.Second).do}
		var events []limits.Event
		server, limiter := progressServer(t, b, &limits.Options{
			MaxFetches: 1, FetchQueueTimeout: 40 * time.Second,
			OnEvent: func(e limits.Event) { events = append(events, e) },
		})
		first, second := server.Login("karen", "pass"), server.Login("karen", "pass")
		for _, c := range []*imaptest.Conn{first, second} {
			c.Cmd("b SELECT INBOX")
			c.Send("x FETCH 1 FLAGS")
			synctest.Wait()
		}
		// Only a write shows that this connection is closed.
		second.Close()
		time.Sleep(15 * time.Second)
		assert.Equal(
			t, limits.Stats{Connections: 1, Sessions: 1, Fetches: 1, Total: limits.Totals{Left: 1}},
			limiter.Stats(),
		)
		assert.Len(t, events, 1)
		assert.Equal(t, limits.EventLeft, events[0].Kind)
		assert.Equal(t, 10*time.Second, events[0].Waited)
	})
}

// halfLine is a listener whose connections let half of a notice through, and then block.
type halfLine struct{ *imaptest.Listener }

func (l halfLine) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &halfLineConn{conn}, err
}

type halfLineConn struct{ net.Conn }

func (c *halfLineConn) Write(p []byte) (int, error) {
	if !strings.HasPrefix(string(p), "* OK [INPROGRESS]") {
		return c.Conn.Write(p)
	}
	n, _ := c.Conn.Write(p[:len(p)/2])
	return n, os.ErrDeadlineExceeded
}

// Nothing may follow a part of a line: the client would read the answer as the rest of the line.
func TestAPieceOfANoticeIsTheLastThingThatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, command := range []string{"x FETCH 1 FLAGS", "x UID SEARCH ALL", "x SEARCH ALL"} {
			work := newWork(35 * time.Second)
			b := &backend{fetch: work.do, search: work.do}
			limiter := limits.New(&limits.Options{MaxFetches: 1, ProgressInterval: 10 * time.Second})
			server := imapserver.New(&imapserver.Options{
				NewSession: limiter.Wrap(b.NewSession), InsecureAuth: true,
				Logger: log.New(io.Discard, "", 0),
			})
			listener := imaptest.Listen()
			go server.Serve(halfLine{listener})
			var last *imaptest.Conn
			for range 2 {
				conn, err := listener.Dial()
				require.NoError(t, err)
				last = imaptest.NewConn(t, conn)
				last.Line()
				last.Cmd("a LOGIN karen pass")
				last.Cmd("b SELECT INBOX")
				last.Send(command)
				synctest.Wait()
			}
			rest := strings.Join(last.Rest(), "\n")
			assert.True(
				t, strings.HasPrefix(inQueue, rest) || strings.HasPrefix(isRunning, rest), "%q", rest,
			)
			server.Close()
			time.Sleep(time.Hour)
			stats := limiter.Stats()
			stats.Total = limits.Totals{}
			assert.Zero(t, stats)
		}
	})
}
