package limits_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
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

// work is what a backend does for a command. It takes a given time, and counts how many run at
// once.
type work struct {
	took time.Duration

	mu            sync.Mutex
	atOnce, most  int
	userAtOnce    map[string]int
	mostOfOneUser int
	order         []string
}

func newWork(took time.Duration) *work {
	return &work{took: took, userAtOnce: make(map[string]int)}
}

func (w *work) do(user string) error {
	w.mu.Lock()
	w.atOnce++
	w.userAtOnce[user]++
	w.most = max(w.most, w.atOnce)
	w.mostOfOneUser = max(w.mostOfOneUser, w.userAtOnce[user])
	w.order = append(w.order, user)
	w.mu.Unlock()
	time.Sleep(w.took)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.atOnce--
	w.userAtOnce[user]--
	return nil
}

// command is a command that queues; all of them queue in the same way.
type command struct {
	line    string
	refusal string
	timeout time.Duration
	stats   func(running, waiting int) limits.Stats
	options func(max, perUser int) *limits.Options
	backend func(do func(user string) error) *backend
}

var commands = map[string]command{
	"FETCH": {
		"x FETCH 1:* FLAGS", noFetches, 40 * time.Second,
		func(running, waiting int) limits.Stats {
			return limits.Stats{Fetches: running, FetchesWaiting: waiting}
		},
		func(max, perUser int) *limits.Options {
			return &limits.Options{
				MaxFetches:        max,
				MaxFetchesPerUser: perUser,
				FetchQueueTimeout: 40 * time.Second,
			}
		},
		func(do func(string) error) *backend { return &backend{fetch: do} },
	},
	"UID FETCH": {
		"x UID FETCH 1:* FLAGS", noFetches, 40 * time.Second,
		func(running, waiting int) limits.Stats {
			return limits.Stats{Fetches: running, FetchesWaiting: waiting}
		},
		func(max, perUser int) *limits.Options {
			return &limits.Options{
				MaxFetches:        max,
				MaxFetchesPerUser: perUser,
				FetchQueueTimeout: 40 * time.Second,
			}
		},
		func(do func(string) error) *backend { return &backend{fetch: do} },
	},
	"SEARCH": {
		"x SEARCH ALL", noSearches, 30 * time.Second,
		func(running, waiting int) limits.Stats {
			return limits.Stats{Searches: running, SearchesWaiting: waiting}
		},
		func(max, perUser int) *limits.Options {
			return &limits.Options{
				MaxSearches:        max,
				MaxSearchesPerUser: perUser,
				SearchQueueTimeout: 30 * time.Second,
			}
		},
		func(do func(string) error) *backend { return &backend{search: do} },
	},
	"UID SEARCH": {
		"x UID SEARCH ALL", noSearches, 30 * time.Second,
		func(running, waiting int) limits.Stats {
			return limits.Stats{Searches: running, SearchesWaiting: waiting}
		},
		func(max, perUser int) *limits.Options {
			return &limits.Options{
				MaxSearches:        max,
				MaxSearchesPerUser: perUser,
				SearchQueueTimeout: 30 * time.Second,
			}
		},
		func(do func(string) error) *backend { return &backend{search: do} },
	},
	"STATUS": { // stands for all others
		"x STATUS a (UIDNEXT)", noCommands, 40 * time.Second,
		func(running, waiting int) limits.Stats {
			return limits.Stats{Commands: running, CommandsWaiting: waiting}
		},
		func(max, perUser int) *limits.Options {
			return &limits.Options{
				MaxCommands:         max,
				MaxCommandsPerUser:  perUser,
				CommandQueueTimeout: 40 * time.Second,
			}
		},
		func(do func(string) error) *backend { return &backend{status: do} },
	},
}

// open connects, logs in, and selects INBOX if the command needs that.
func (c command) open(s *server, user string) *imaptest.Conn {
	return c.openFrom(s, "192.0.2.1", user)
}

func (c command) openFrom(s *server, address, user string) *imaptest.Conn {
	conn, answer := s.login(address, user)
	assert.Contains(s.t, answer, "OK")
	if !strings.Contains(c.line, "STATUS") {
		conn.Cmd("s SELECT INBOX")
	}
	return conn
}

var searches atomic.Int64

// next returns the command line. A UID SEARCH differs each time, as equal ones of a user never run
// at the same time.
func (c command) next() string {
	if !strings.Contains(c.line, "UID SEARCH") {
		return c.line
	}
	return fmt.Sprintf("%s LARGER %d", c.line, searches.Add(1))
}

// eachCommand runs the test for FETCH and SEARCH, with and without UID, and for STATUS, each in its
// own bubble.
func eachCommand(t *testing.T, test func(t *testing.T, cmd command)) {
	for name, cmd := range commands {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, cmd) })
		})
	}
}

// commandsInUse asserts the commands that run and wait.
func (s *server) commandsInUse(want limits.Stats) {
	s.t.Helper()
	got := s.limiter.Stats()
	got.Connections, got.Sessions = 0, 0
	got.Refused, got.Total = limits.Refusals{}, limits.Totals{}
	assert.Equal(s.t, want, got)
}

func TestACommandWaitsForASlotOfItsUser(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		w := newWork(10 * time.Second)
		s := serve(t, cmd.backend(w.do), cmd.options(0, 1))
		first, second, other := cmd.open(s, "karen"), cmd.open(s, "karen"), cmd.open(s, "bob")
		first.Send(cmd.next())
		synctest.Wait()
		second.Send(cmd.next())
		other.Send(cmd.next())
		synctest.Wait()
		s.commandsInUse(cmd.stats(2, 1))

		took := elapsed(func() { assert.True(t, imaptest.IsOK(second.Answer("x"))) })
		assert.Equal(t, 20*time.Second, took)
		assert.True(t, imaptest.IsOK(first.Answer("x")))
		assert.True(t, imaptest.IsOK(other.Answer("x")))
		assert.Equal(t, 1, w.mostOfOneUser)
		assert.Equal(t, 2, w.most)
		s.commandsInUse(limits.Stats{})
	})
}

func TestACommandThatWaitsTooLongIsRefused(t *testing.T) {
	for _, perUser := range []bool{true, false} {
		eachCommand(t, func(t *testing.T, cmd command) {
			options, limit := cmd.options(1, 0), "Max"
			if perUser {
				options, limit = cmd.options(0, 1), "PerUser"
			}
			var events []limits.Event
			options.OnEvent = func(e limits.Event) { events = append(events, e) }
			w := newWork(10 * time.Minute)
			s := serve(t, cmd.backend(w.do), options)
			first, second := cmd.open(s, "karen"), cmd.open(s, "karen")
			first.Send(cmd.next())
			synctest.Wait()

			took := elapsed(func() { assert.Equal(t, cmd.refusal, imaptest.Last(second.Cmd(cmd.next()))) })
			assert.Equal(t, cmd.timeout, took)
			s.commandsInUse(cmd.stats(1, 0))
			require.Len(t, events, 1)
			assert.Equal(t, limits.EventTimedOut, events[0].Kind)
			assert.Equal(t, "karen", events[0].User)
			assert.Equal(t, "192.0.2.1", events[0].Addr.String())
			assert.Equal(t, cmd.timeout, events[0].Waited)
			assert.Contains(t, events[0].Limit, limit)
			assert.Equal(t, "1", events[0].Max)

			// The connection stays open, and the client can try again.
			assert.True(t, imaptest.IsOK(second.Cmd("n NOOP")))
			assert.True(t, imaptest.IsOK(first.Answer("x")))
			assert.Len(t, w.order, 1)
		})
	}
}

func TestWithinAUserItIsFirstComeFirstServed(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		s := serve(t, cmd.backend(newWork(time.Second).do), cmd.options(1, 0))
		var all sync.WaitGroup
		start := time.Now()
		for i := range 10 {
			c := cmd.open(s, "karen")
			c.Send(cmd.next())
			synctest.Wait()
			all.Go(func() {
				assert.True(t, imaptest.IsOK(c.Answer("x")))
				assert.Equal(t, time.Duration(i+1)*time.Second, time.Since(start))
			})
		}
		all.Wait()
	})
}

func TestBetweenUsersItIsTurnByTurn(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		// Sixty users with ten commands each wait. A user with a single command comes last and waits for
		// one round.
		w := newWork(time.Second)
		s := serve(t, cmd.backend(w.do), cmd.options(2, 1))
		var all sync.WaitGroup
		for i := range 60 {
			for range 10 {
				c := cmd.open(s, fmt.Sprintf("heavy%d", i))
				c.Send(cmd.next())
				all.Go(func() { c.Answer("x") })
			}
		}
		synctest.Wait()
		light := cmd.open(s, "light")
		took := elapsed(func() { light.Cmd(cmd.next()) })
		assert.LessOrEqual(t, took, 31*time.Second, "sixty others, two at a time, and its own")
		s.limiter.Close()
		all.Wait()
		s.Server.Close()
		synctest.Wait()
		assert.Equal(t, 2, w.most)
		assert.Equal(t, 1, w.mostOfOneUser)
		s.inUse(limits.Stats{})
	})
}

func TestNoBurstExceedsALimit(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		w := newWork(10 * time.Millisecond)
		s := serve(t, cmd.backend(w.do), cmd.options(7, 3))
		var all sync.WaitGroup
		for i := range 100 {
			c := cmd.open(s, fmt.Sprintf("user%d", i%10))
			all.Go(func() {
				for range 20 {
					assert.True(t, imaptest.IsOK(c.Cmd(cmd.next())))
				}
			})
		}
		all.Wait()
		assert.Equal(t, 7, w.most)
		assert.LessOrEqual(t, w.mostOfOneUser, 3)
		s.commandsInUse(limits.Stats{})
	})
}

func TestSlotsComeBackHoweverACommandEnds(t *testing.T) {
	for name, end := range map[string]error{
		"error":      errors.New("disk failure"),
		"IMAP error": &imap.Error{Type: imap.StatusResponseTypeNo, Text: "No"},
		"panic":      nil,
	} {
		t.Run(name, func(t *testing.T) {
			eachCommand(t, func(t *testing.T, cmd command) {
				s := serve(t, cmd.backend(func(string) error {
					time.Sleep(time.Second)
					if end == nil {
						panic("broken")
					}
					return end
				}), cmd.options(1, 1))
				conns := []*imaptest.Conn{cmd.open(s, "karen"), cmd.open(s, "karen"), cmd.open(s, "bob")}
				for _, c := range conns {
					c.Send(cmd.next())
				}
				took := elapsed(func() {
					for _, c := range conns {
						if end == nil {
							c.Rest()
						} else {
							assert.Contains(t, c.Line(), "x NO")
						}
					}
				})
				assert.Equal(t, 3*time.Second, took, "each has run, one after the other")
				s.commandsInUse(limits.Stats{})
				s.Server.Close()
				synctest.Wait()
				s.inUse(limits.Stats{})
			})
		})
	}
}

func TestSetOptionsRaisesALimitForThoseWhoWait(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		w := newWork(10 * time.Second)
		s := serve(t, cmd.backend(w.do), cmd.options(1, 1))
		var all sync.WaitGroup
		for range 10 {
			c := cmd.open(s, "karen")
			c.Send(cmd.next())
			all.Go(func() { assert.True(t, imaptest.IsOK(c.Answer("x"))) })
		}
		synctest.Wait()
		s.commandsInUse(cmd.stats(1, 9))
		require.NoError(t, s.limiter.SetOptions(cmd.options(0, 6)))
		s.commandsInUse(cmd.stats(6, 4))
		require.NoError(t, s.limiter.SetOptions(cmd.options(8, 0)))
		s.commandsInUse(cmd.stats(8, 2))
		require.NoError(t, s.limiter.SetOptions(nil))
		s.commandsInUse(cmd.stats(10, 0))
		all.Wait()
		s.commandsInUse(limits.Stats{})
	})
}

func TestSetOptionsLowersALimitAndThrowsNobodyOut(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		w := newWork(10 * time.Second)
		s := serve(t, cmd.backend(w.do), cmd.options(6, 0))
		start := time.Now()
		var all sync.WaitGroup
		for i := range 9 {
			c := cmd.open(s, fmt.Sprintf("user%d", i%2))
			c.Send(cmd.next())
			synctest.Wait()
			all.Go(func() {
				assert.True(t, imaptest.IsOK(c.Answer("x")))
				// Six at once, then two users with one each, then the last.
				assert.Equal(
					t, []time.Duration{10, 10, 10, 10, 10, 10, 20, 20, 30}[i]*time.Second, time.Since(start),
				)
			})
		}
		require.NoError(t, s.limiter.SetOptions(cmd.options(2, 1)))
		s.commandsInUse(cmd.stats(6, 3))
		all.Wait()
		s.commandsInUse(limits.Stats{})
	})
}

func TestSetOptionsChangesTheTimeoutOfThoseWhoWait(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		s := serve(t, cmd.backend(newWork(10*time.Minute).do), cmd.options(1, 0))
		cmd.open(s, "karen").Send(cmd.next())
		synctest.Wait()
		waits := cmd.open(s, "karen")
		waits.Send(cmd.next())
		time.Sleep(5 * time.Second)

		options := cmd.options(1, 0)
		options.FetchQueueTimeout, options.SearchQueueTimeout = 7*time.Second, 7*time.Second
		options.CommandQueueTimeout = 7 * time.Second
		require.NoError(t, s.limiter.SetOptions(options))
		took := elapsed(func() { assert.Equal(t, "x "+cmd.refusal, waits.Line()) })
		assert.Equal(t, 2*time.Second, took, "seven seconds from its arrival")

		// Without a timeout it waits as long as necessary.
		options.FetchQueueTimeout, options.SearchQueueTimeout = 0, 0
		options.CommandQueueTimeout = 0
		require.NoError(t, s.limiter.SetOptions(options))
		waits.Send(cmd.next())
		took = elapsed(func() { assert.True(t, imaptest.IsOK(waits.Answer("x"))) })
		assert.Greater(t, took, 10*time.Minute)
	})
}

func TestCloseWakesEverybodyWhoWaits(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		b := cmd.backend(newWork(10 * time.Second).do)
		options := cmd.options(1, 0)
		options.MaxLoginsPerUser = 20
		s := serve(t, b, options)
		runs, waits := cmd.open(s, "karen"), cmd.open(s, "karen")
		b.login = slowCheck(20 * time.Second)
		checked, waitsForCheck, late := s.dial("192.0.2.9"), s.dial("192.0.2.9"), s.dial("192.0.2.9")
		runs.Send(cmd.next())
		synctest.Wait()
		waits.Send(cmd.next())
		checked.Send("a LOGIN bob pass")
		synctest.Wait()
		waitsForCheck.Send("a LOGIN bob pass")
		synctest.Wait()
		assert.Equal(t, 1, s.limiter.Stats().LoginsWaiting)

		start := time.Now()
		require.NoError(t, s.limiter.Close())
		require.NoError(t, s.limiter.Close())
		assert.Equal(t, "x "+noShuttingDown, waits.Line())
		assert.Equal(t, "a "+noShuttingDown, waitsForCheck.Line())
		assert.Zero(t, time.Since(start))

		// Running commands continue; new ones are refused.
		assert.True(t, imaptest.IsOK(runs.Answer("x")))
		assert.Equal(t, noShuttingDown, imaptest.Last(runs.Cmd(cmd.next())))
		assert.True(t, imaptest.IsOK(runs.Cmd("n NOOP")))
		assert.Equal(t, noShuttingDown, imaptest.Last(late.Cmd("a LOGIN eve pass")))
		assert.Equal(t, []string{"* BYE [UNAVAILABLE] The server is shutting down"}, s.Dial().Rest())
		assert.Equal(
			t, "a "+noShuttingDown, checked.Line(),
			"a login that was being checked is not admitted any more",
		)
		assert.Equal(t, []string{"* BYE [UNAVAILABLE] The server is shutting down"}, checked.Rest())

		s.Server.Close()
		synctest.Wait()
		s.inUse(limits.Stats{})
	})
}

func TestUsersWhoAreNotKnownTakeTurnsByAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(10 * time.Second)
		b := &backend{fetch: w.do}
		s := serveSessions(
			t,
			b,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return &backendSession{backend: b}, &imapserver.GreetingData{PreAuth: true}, nil
			},
			&limits.Options{MaxFetchesPerUser: 1},
		)
		for _, address := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "", ""} {
			c := imaptest.NewConn(t, s.DialFrom(address))
			c.Line()
			c.Cmd("a SELECT INBOX")
			c.Send("x FETCH 1 FLAGS")
		}
		synctest.Wait()
		s.commandsInUse(limits.Stats{Fetches: 4, FetchesWaiting: 1})
	})
}

func TestACommandDuringIdleNeedsASlotOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(10 * time.Second)
		s := serve(t, &backend{fetch: w.do}, &limits.Options{MaxFetches: 1})
		other := s.selected("bob")
		other.Send("x FETCH 1 FLAGS")
		synctest.Wait()
		c := s.selected("karen")
		c.Send("i IDLE")
		c.Line()
		c.Send("not done", "x FETCH 1 FLAGS")
		assert.Contains(t, c.Line(), "i BAD")
		c.Close()
		s.Server.Close()
		time.Sleep(time.Minute)
		s.inUse(limits.Stats{})
	})
}

func TestLimitsThatChangeUnderLoad(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		w := newWork(50 * time.Millisecond)
		s := serve(t, cmd.backend(w.do), cmd.options(9, 4))
		var all sync.WaitGroup
		for i := range 60 {
			c := cmd.open(s, fmt.Sprintf("user%d", i%12))
			all.Go(func() {
				for range 20 {
					assert.True(t, imaptest.IsOK(c.Cmd(cmd.next())))
				}
			})
		}
		for i := range 50 {
			time.Sleep(20 * time.Millisecond)
			require.NoError(t, s.limiter.SetOptions(cmd.options(1+i*7%9, 1+i*5%4)))
		}
		all.Wait()
		assert.Len(t, w.order, 1200)
		assert.LessOrEqual(t, w.most, 9)
		assert.LessOrEqual(t, w.mostOfOneUser, 4)
		s.commandsInUse(limits.Stats{})
	})
}

func TestTheRoundGoesByArrival(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		w := newWork(time.Second)
		s := serve(t, cmd.backend(w.do), cmd.options(1, 0))
		for _, user := range []string{"first", "a", "a", "a", "b", "b", "c"} {
			cmd.open(s, user).Send(cmd.next())
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		assert.Equal(t, []string{"first", "a", "b", "c", "a", "b", "a"}, w.order)
	})
}
