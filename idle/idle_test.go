package idle_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// backend is a session whose Poll reports one message more each time, and that keeps when it was
// polled.
type backend struct {
	imaptest.Stub
	mu      sync.Mutex
	start   time.Time
	polls   []time.Duration // those of IDLE
	idles   int
	idling  bool
	closed  atomic.Int32
	running atomic.Int32
	fail    error
	block   chan struct{} // Poll waits for it in IDLE
}

func newBackend() *backend { return &backend{start: time.Now()} }

func (b *backend) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if b.running.Add(1) != 1 {
		panic("two commands at once")
	}
	defer b.running.Add(-1)
	b.mu.Lock()
	idling, fail := b.idling, b.fail
	if idling {
		b.polls = append(b.polls, time.Since(b.start))
	}
	n := len(b.polls)
	b.mu.Unlock()
	if !idling || fail != nil {
		return fail
	}
	if b.block != nil {
		<-b.block
	}
	return w.WriteNumMessages(uint32(n))
}

func (b *backend) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	b.mu.Lock()
	b.idles++
	b.mu.Unlock()
	w.WriteNumMessages(1000)
	<-stop
	return nil
}

func (b *backend) Create(string, *imap.CreateOptions) error {
	if b.running.Load() != 0 {
		panic("a command beside a poll")
	}
	return nil
}

func (b *backend) Close() error {
	if b.running.Load() != 0 {
		panic("Close beside a poll")
	}
	b.closed.Add(1)
	return nil
}

// inIdle makes Poll count and report.
func (b *backend) inIdle(idling bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.idling = idling
}

func (b *backend) seen() (polls []time.Duration, idles int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]time.Duration(nil), b.polls...), b.idles
}

// serve starts go-imap's server, where clients may log in on a connection in clear.
func serve(t *testing.T, newSession idle.NewSessionFunc) *imaptest.Server {
	return imaptest.NewServer(t, &imapserver.Options{NewSession: newSession, InsecureAuth: true})
}

func sessions(b ...*backend) idle.NewSessionFunc {
	var next atomic.Int32
	return func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return b[int(next.Add(1))-1], nil, nil
	}
}

// begin sends IDLE and waits until it runs.
func begin(t *testing.T, c *imaptest.Conn, b *backend) {
	c.Send("i IDLE")
	assert.Equal(t, "+ idling", c.Line())
	synctest.Wait()
	b.inIdle(true)
}

func TestPollReportsUpdatesInIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		server := serve(t, idle.Wrap(sessions(b), &idle.Options{Mode: idle.Poll}))
		c := server.Login("karen", "pass")
		begin(t, c, b)
		last := time.Now()
		for i := range 50 {
			assert.Equal(t, fmt.Sprintf("* %d EXISTS", i+1), c.Line())
			wait := time.Since(last)
			assert.LessOrEqual(t, wait, 30*time.Second)
			if i > 0 {
				assert.GreaterOrEqual(t, wait, 27*time.Second)
			}
			last = time.Now()
		}
		b.inIdle(false)
		c.Send("DONE")
		assert.Equal(t, "i OK IDLE completed", c.Line())
		time.Sleep(time.Hour)
		polls, idles := b.seen()
		assert.Len(t, polls, 50)
		assert.Zero(t, idles)
	})
}

func TestDaysOfIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		server := serve(
			t, idle.Wrap(sessions(b), &idle.Options{Mode: idle.Poll, PollInterval: time.Minute}),
		)
		c := server.Login("karen", "pass")
		for range 3 * 24 * 2 {
			begin(t, c, b)
			time.Sleep(30 * time.Minute)
			b.inIdle(false)
			c.Send("DONE")
			assert.True(t, imaptest.IsOK(c.Answer("i")))
		}
		polls, idles := b.seen()
		assert.Zero(t, idles)
		assert.InDelta(t, 3*24*60*1.05, len(polls), 3*24*60*0.05)
	})
}

func TestSessionsDoNotPollTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 300
		backends := make([]*backend, n)
		for i := range backends {
			backends[i] = newBackend()
		}
		server := serve(t, idle.Wrap(sessions(backends...), &idle.Options{Mode: idle.Poll}))
		start := time.Now()
		for _, b := range backends {
			begin(t, server.Login("karen", "pass"), b)
		}
		require.Equal(t, start, time.Now())
		time.Sleep(30 * time.Second)
		perSecond := map[time.Duration]int{}
		for _, b := range backends {
			polls, _ := b.seen()
			require.NotEmpty(t, polls)
			perSecond[polls[0].Truncate(time.Second)]++
		}
		for second, count := range perSecond {
			assert.Less(t, count, 40, second)
		}
	})
}

func TestOnIsTheBackends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		server := serve(t, idle.Wrap(sessions(b), &idle.Options{MaxPerUser: 1}))
		c := server.Login("karen", "pass")
		c.Send("a IDLE")
		assert.Equal(t, []string{"+ idling", "* 1000 EXISTS"}, []string{c.Line(), c.Line()})
		c.Send("DONE")
		assert.Equal(t, "a OK IDLE completed", c.Line())
	})
}

func TestNothingToDo(t *testing.T) {
	b := newBackend()
	for _, options := range []*idle.Options{nil, {}, {PollInterval: time.Second}} {
		session, _, err := idle.Wrap(sessions(b), options)(nil)
		require.NoError(t, err)
		assert.Same(t, b, session)
	}
}

func TestOffWithoutTheListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		server := serve(t, idle.Wrap(sessions(b), &idle.Options{Mode: idle.Off}))
		c := server.Login("karen", "pass")
		begin(t, c, b)
		time.Sleep(20 * time.Minute)
		c.Send("DONE")
		assert.Equal(
			t, []string{"* 1 EXISTS", "i NO [CANNOT] IDLE is switched off on this server"}, c.Answer("i"),
		)
		polls, idles := b.seen()
		assert.Equal(t, []time.Duration{20 * time.Minute}, polls)
		assert.Zero(t, idles)
		assert.True(t, imaptest.IsOK(c.Cmd("b NOOP")))
	})
}

// saslBackend authenticates with any mechanism, like PLAIN.
type saslBackend struct{ *backend }

func (b saslBackend) AuthenticateMechanisms() []string { return []string{"PLAIN", "OTHER"} }

func (b saslBackend) Authenticate(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, _, _ string) error { return nil }), nil
}

func (b saslBackend) Unauthenticate() error { return nil }

func TestModeForEachUser(t *testing.T) {
	modes := map[string]idle.Mode{
		"karen":   idle.On,
		"Bob":     idle.Poll,
		"eve":     idle.Off,
		"mallory": 77,
		"":        idle.Off,
	}
	const pushed, polled, refused = "* 1000 EXISTS", "* 1 EXISTS", ""
	for _, test := range []struct{ login, want string }{
		{"LOGIN karen pass", pushed},
		{"LOGIN Bob pass", polled},
		{"LOGIN eve pass", refused},
		{"LOGIN mallory pass", refused},
		{"AUTHENTICATE PLAIN AGthcmVuAHBhc3M=", pushed},
		{"AUTHENTICATE PLAIN Qm9iAGthcmVuAHBhc3M=", refused}, // karen as Bob: nobody knows who it is
		{"AUTHENTICATE OTHER AGthcmVuAHBhc3M=", refused},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend()
			server := imaptest.NewServer(t, &imapserver.Options{
				NewSession: idle.Wrap(
					func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
						return saslBackend{b}, nil, nil
					},
					&idle.Options{ModeFor: func(user string) idle.Mode { return modes[user] }},
				),
				InsecureAuth: true,
				Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUnauthenticate: {}},
			})
			c := server.Dial()
			for range 2 {
				for !strings.HasPrefix(imaptest.Last(c.Cmd("a "+test.login)), "OK") {
					t.Fatal("no login")
				}
				begin(t, c, b)
				if test.want != refused {
					assert.Equal(t, test.want, c.Line(), test.login)
				}
				b.inIdle(false)
				c.Send("DONE")
				assert.Equal(t, test.want != refused, imaptest.IsOK(c.Answer("i")), test.login)
				b.mu.Lock()
				b.polls = nil
				b.mu.Unlock()
				assert.True(t, imaptest.IsOK(c.Cmd("u UNAUTHENTICATE")))
			}
		})
	}
}

func TestMaxPerUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, other := newBackend(), newBackend(), newBackend()
		server := serve(t, idle.Wrap(sessions(first, second, other), &idle.Options{MaxPerUser: 1}))
		a, b, c := server.Login(
			"karen", "pass",
		), server.Login(
			"KAREN", "pass",
		), server.Login(
			"bob", "pass",
		)
		begin(t, a, first)
		begin(t, b, second)
		begin(t, c, other)
		assert.Equal(t, "* 1000 EXISTS", a.Line())
		assert.Equal(t, "* 1000 EXISTS", c.Line())
		assert.Equal(t, "* 1 EXISTS", b.Line())
		at := time.Now()
		assert.Equal(t, "* 2 EXISTS", b.Line())
		assert.GreaterOrEqual(t, time.Since(at), 108*time.Second)
		assert.LessOrEqual(t, time.Since(at), 120*time.Second)
		first.inIdle(false)
		a.Send("DONE")
		assert.True(t, imaptest.IsOK(a.Answer("i")))
		assert.Equal(t, "* 3 EXISTS", b.Line()) // the last poll before it gets the place
		assert.Equal(t, "* 1000 EXISTS", b.Line())
		begin(t, a, first)
		b.Send("DONE")
		assert.True(t, imaptest.IsOK(b.Answer("i")))
		assert.Equal(t, "* 1 EXISTS", a.Line())
		a.Send("DONE") // while it has no place
		assert.True(t, imaptest.IsOK(a.Answer("i")))
	})
}

func TestMaxPerUserCountsEachUserOnce(t *testing.T) {
	for _, name := range []string{"SAM", "Sam ", "\u017fam"} { // the last has a long s
		synctest.Test(t, func(t *testing.T) {
			first, second := newBackend(), newBackend()
			server := serve(t, idle.Wrap(sessions(first, second), &idle.Options{MaxPerUser: 1}))
			a, b := server.Login("sam", "pass"), server.Login("\""+name+"\"", "pass")
			begin(t, a, first)
			begin(t, b, second)
			assert.Equal(t, "* 1000 EXISTS", a.Line())
			assert.Equal(t, "* 1 EXISTS", b.Line(), name)
		})
	}
}

func TestMaxPerUserSlowsPollingDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newBackend(), newBackend()
		server := serve(t, idle.Wrap(sessions(first, second),
			&idle.Options{Mode: idle.Poll, MaxPerUser: 1, PollInterval: time.Minute}))
		a, b := server.Login("karen", "pass"), server.Login("karen", "pass")
		begin(t, a, first)
		begin(t, b, second)
		time.Sleep(34 * time.Minute)
		polls, _ := first.seen()
		assert.InDelta(t, 36, len(polls), 3)
		polls, idles := second.seen()
		assert.InDelta(t, 9, len(polls), 2)
		assert.Zero(t, idles)
	})
}

func TestMaxDuration(t *testing.T) {
	for _, mode := range []idle.Mode{idle.On, idle.Poll, idle.Off} {
		synctest.Test(t, func(t *testing.T) {
			b, next := newBackend(), newBackend()
			server := serve(t, idle.Wrap(
				sessions(b, next),
				&idle.Options{
					Mode:         mode,
					MaxDuration:  10 * time.Minute,
					MaxPerUser:   1,
					PollInterval: time.Hour,
				},
			))
			c := server.Login("karen", "pass")
			c.Send("i IDLE")
			time.Sleep(9 * time.Minute)
			c.Send("DONE")
			c.Answer("i")
			time.Sleep(9 * time.Minute) // the timer is gone
			start := time.Now()
			c.Send("j IDLE")
			lines := c.Rest()
			assert.Equal(t, "* BYE IDLE took too long", lines[len(lines)-1])
			assert.Equal(t, 10*time.Minute, time.Since(start))
			synctest.Wait()
			assert.EqualValues(t, 1, b.closed.Load())

			c = server.Login("karen", "pass") // the place is free
			c.Send("i IDLE")
			c.Line()
			if mode == idle.On {
				assert.Equal(t, "* 1000 EXISTS", c.Line())
			}
		})
	}
}

// Each way to leave IDLE, in each mode, at once or while the backend is polled. The bubble fails if
// a goroutine stays.
func TestWaysOut(t *testing.T) {
	ways := map[string]func(t *testing.T, server *imaptest.Server, c *imaptest.Conn){
		"vanished": func(t *testing.T, _ *imaptest.Server, c *imaptest.Conn) { c.Close() },
		"half closed": func(t *testing.T, _ *imaptest.Server, c *imaptest.Conn) {
			c.Conn.(interface{ CloseWrite() error }).CloseWrite()
		},
		"DONE": func(t *testing.T, _ *imaptest.Server, c *imaptest.Conn) {
			c.Send("DONE")
			c.Answer("i")
		},
		"something": func(t *testing.T, _ *imaptest.Server, c *imaptest.Conn) {
			c.Send("x", "c CREATE x")
			c.Answer("c")
		},
		"too long a line": func(t *testing.T, _ *imaptest.Server, c *imaptest.Conn) {
			c.Send(strings.Repeat("x", 10000))
		},
		"server closed": func(t *testing.T, server *imaptest.Server, _ *imaptest.Conn) { server.Close() },
	}
	for name, leave := range ways {
		for _, mode := range []idle.Mode{idle.On, idle.Poll, idle.Off} {
			for _, second := range []bool{false, true} { // is there a place for the session?
				for _, after := range []time.Duration{0, 45 * time.Second, 5 * time.Minute} {
					synctest.Test(t, func(t *testing.T) {
						holder, b, next := newBackend(), newBackend(), newBackend()
						server := serve(
							t, idle.Wrap(sessions(holder, b, next), &idle.Options{Mode: mode, MaxPerUser: 1}),
						)
						h := server.Login("karen", "pass")
						if second {
							begin(t, h, holder)
						}
						c := server.Login("karen", "pass")
						begin(t, c, b)
						time.Sleep(after)
						leave(t, server, c)
						c.Close()
						synctest.Wait()
						assert.EqualValues(t, 1, b.closed.Load(), name)
						_, idles := b.seen()
						assert.True(t, mode == idle.On || idles == 0, name)
						if name != "server closed" && mode == idle.On && !second {
							n := server.Login("karen", "pass")
							begin(t, n, next)
							assert.Equal(t, "* 1000 EXISTS", n.Line(), name)
						}
						server.Close()
						assert.NotContains(t, server.Log(), "panic", name)
					})
				}
			}
		}
	}
}

func TestCloseAndCommandsWaitForAPoll(t *testing.T) {
	for _, leave := range []string{"close", "command", "DONE", "server"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend()
			b.block = make(chan struct{})
			server := serve(t, idle.Wrap(sessions(b), &idle.Options{Mode: idle.Poll}))
			c := server.Login("karen", "pass")
			begin(t, c, b)
			time.Sleep(31 * time.Second)
			require.EqualValues(t, 1, b.running.Load())
			switch leave {
			case "close":
				c.Close()
			case "server":
				server.Close()
			case "command":
				c.Send("x", "c CREATE x")
				assert.Contains(t, c.Line(), "expected DONE")
			case "DONE":
				c.Send("DONE")
			}
			synctest.Wait()
			assert.Zero(t, b.closed.Load())
			b.inIdle(false)
			close(b.block)
			if leave == "command" {
				assert.Equal(t, "OK CREATE completed", imaptest.Last(c.Answer("c")))
			}
			if leave == "DONE" {
				assert.Equal(t, []string{"* 1 EXISTS", "i OK IDLE completed"}, c.Answer("i"))
			}
			c.Close()
			synctest.Wait()
			assert.EqualValues(t, 1, b.closed.Load())
			assert.NotContains(t, server.Log(), "panic")
		})
	}
}

func TestNothingIsPolledAfterClose(t *testing.T) {
	b := newBackend()
	b.inIdle(true)
	session, _, err := idle.Wrap(sessions(b), &idle.Options{Mode: idle.Poll})(nil)
	require.NoError(t, err)
	require.NoError(t, session.Close())
	require.NoError(t, session.Poll(nil, true))
	polls, _ := b.seen()
	assert.Empty(t, polls)
}

func TestAFailingPollEndsTheConnection(t *testing.T) {
	for mode, send := range map[idle.Mode]string{idle.Poll: "", idle.Off: "DONE\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend()
			server := serve(t, idle.Wrap(sessions(b), &idle.Options{Mode: mode}))
			c := server.Login("karen", "pass")
			begin(t, c, b)
			b.mu.Lock()
			b.fail = errors.New("disk on fire\r\n* BYE")
			b.mu.Unlock()
			io.WriteString(c.Conn, send)
			assert.Equal(t, "* BYE Cannot look for updates", c.Rest()[0])
		})
	}
}

func TestUpdatesOfARealBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := imaptest.Serve(
			t, idle.Wrap(imaptest.Memory(imaptest.User("karen")), &idle.Options{Mode: idle.Poll}),
		)
		c, other := server.Login("karen", "pass"), server.Login("karen", "pass")
		c.Cmd("a SELECT INBOX")
		other.Cmd("a SELECT INBOX")
		c.Send("b IDLE")
		c.Line()
		for i := range 3 {
			other.Send("b APPEND INBOX {6+}", "A: b\r\n")
			other.Answer("b")
			assert.Equal(t, fmt.Sprintf("* %d EXISTS", i+1), c.Line())
		}
		other.Cmd("c STORE 1:* +FLAGS (\\Deleted)")
		assert.Contains(t, c.Line(), "deleted")
		c.Line()
		c.Line()
		other.Cmd("d EXPUNGE")
		assert.Contains(t, c.Line(), "EXPUNGE")
		c.Line()
		c.Line()
		// An update at the moment of DONE is neither lost nor told twice.
		other.Send("e APPEND INBOX {6+}", "A: b\r\n")
		c.Send("DONE")
		other.Answer("e")
		told := strings.Count(strings.Join(append(c.Answer("b"), c.Cmd("f NOOP")...), "\n"), "* 1 EXISTS")
		assert.Equal(t, 1, told)
	})
}

// Close may come from a wrapper that does not wait for stop.
func TestCloseEndsIdle(t *testing.T) {
	for _, mode := range []idle.Mode{idle.Poll, idle.Off} {
		synctest.Test(t, func(t *testing.T) {
			session, _, err := idle.Wrap(sessions(newBackend()), &idle.Options{Mode: mode})(nil)
			require.NoError(t, err)
			idled := make(chan error)
			go func() { idled <- session.Idle(nil, nil) }()
			synctest.Wait()
			require.NoError(t, session.Close())
			assert.NoError(t, <-idled)
			assert.NoError(t, session.Poll(nil, true))
		})
	}
}

func TestOtherCommandsAreTheBackends(t *testing.T) {
	script := []string{
		"a CREATE x", "b RENAME x y", "c SUBSCRIBE y", "d LIST \"\" *", "e STATUS y (MESSAGES)",
		"f APPEND y {6+}", "A: b\r\n",
		"g SELECT y", "h FETCH 1 (FLAGS BODY[])", "i STORE 1 +FLAGS (\\Seen)", "j SEARCH SEEN",
		"k COPY 1 INBOX", "l MOVE 1 INBOX",
		"m UNSELECT", "n UNSUBSCRIBE y", "o DELETE y", "p NAMESPACE", "q SELECT INBOX",
		"r STORE 1 +FLAGS (\\Deleted)", "s EXPUNGE",
		"t LOGOUT",
	}
	talk := func(newSession idle.NewSessionFunc) []string {
		c := imaptest.Serve(t, newSession).Login("karen", "pass")
		c.Send(script...)
		return c.Rest()
	}
	// imapmemserver's flags come in random order.
	flags := regexp.MustCompile(`\\deleted \\seen|\\seen \\deleted`)
	mask := regexp.MustCompile("UIDVALIDITY [0-9]+|(COPY|APPEND)UID [0-9]+")
	bare := strings.Join(talk(imaptest.Memory(imaptest.User("karen"))), "\n")
	wrapped := strings.Join(
		talk(idle.Wrap(imaptest.Memory(imaptest.User("karen")), &idle.Options{Mode: idle.Poll})), "\n",
	)
	bare, wrapped = flags.ReplaceAllString(bare, "both"), flags.ReplaceAllString(wrapped, "both")
	assert.Equal(t, mask.ReplaceAllString(bare, "UID"), mask.ReplaceAllString(wrapped, "UID"))
	assert.Contains(t, wrapped, "t OK")
}

func TestNewSessionErrors(t *testing.T) {
	b := newBackend()
	newSession := idle.Wrap(
		func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return b, nil, io.ErrUnexpectedEOF
		},
		&idle.Options{Mode: idle.Poll},
	)
	session, _, err := newSession(nil)
	assert.Nil(t, session)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.EqualValues(t, 1, b.closed.Load())
}

func TestValidate(t *testing.T) {
	for want, options := range map[string]idle.Options{
		"Mode is 3":                 {Mode: 3},
		"Mode is -1":                {Mode: -1},
		"PollInterval is 30ns":      {PollInterval: 30},
		"PollInterval is -1s":       {PollInterval: -time.Second},
		"PollInterval is 25h0m0s":   {PollInterval: 25 * time.Hour},
		"MaxPerUser is -1":          {MaxPerUser: -1},
		"MaxPolls is -1":            {MaxPolls: -1},
		"MaxDuration is -1s, which": {MaxDuration: -time.Second},
	} {
		err := options.Validate()
		assert.ErrorContains(t, err, want)
		assert.PanicsWithError(t, err.Error(), func() { idle.Wrap(nil, &options) })
	}
	assert.NoError(t, new(idle.Options).Validate())
}

func TestModeIsAFlag(t *testing.T) {
	var mode idle.Mode
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.TextVar(&mode, "idle", idle.On, "")
	for _, want := range []idle.Mode{idle.Poll, idle.Off, idle.On} {
		require.NoError(t, flags.Parse([]string{"-idle", want.String()}))
		assert.Equal(t, want, mode)
	}
	assert.Error(t, flags.Parse([]string{"-idle", "maybe"}))
	assert.Equal(t, "Mode(7)", idle.Mode(7).String())
	_, err := idle.Mode(7).MarshalText()
	assert.EqualError(t, err, "idle: Mode 7 has no name")
}

// A backend with mechanisms or a greeting that do not tell the user does so itself.
func TestUsernameKnowsTheUserOfAPreAuthSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		asked := make(chan string, 1)
		server := imaptest.NewServer(t, &imapserver.Options{NewSession: idle.Wrap(
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return b, &imapserver.GreetingData{PreAuth: true}, nil
			},
			&idle.Options{
				Username: func(session imapserver.Session) string {
					assert.Same(t, b, session)
					return "karen"
				},
				ModeFor: func(user string) idle.Mode {
					asked <- user
					return idle.Poll
				},
			})})
		c := server.Dial()
		c.Line()
		c.Send("a IDLE")
		assert.Equal(t, "karen", <-asked)
		c.Line()
		c.Send("DONE")
		assert.True(t, imaptest.IsOK(c.Answer("a")))
	})
}
