package limits_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// from connects from the address as karen, selects INBOX and sends the command.
func (s *server) from(address string, cmd command) *imaptest.Conn {
	c := cmd.openFrom(s, address, "karen")
	c.Send(cmd.next())
	synctest.Wait()
	return c
}

// twoFrom gives a user two slots at that address, and one at others.
func twoFrom(address string) func(limits.Client) limits.ClientLimits {
	return func(c limits.Client) limits.ClientLimits {
		own := c.Limits
		if c.Addr == netip.MustParseAddr(address) {
			own.MaxFetchesPerUser, own.MaxSearchesPerUser, own.MaxCommandsPerUser = 2, 2, 2
		}
		return own
	}
}

func TestACommandWithAHigherLimitDoesNotPassThoseOfItsUser(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		options := cmd.options(0, 1)
		options.LimitsFor = twoFrom("192.0.2.2")
		s := serve(t, cmd.backend(newWork(10*time.Second).do), options)
		start := time.Now()
		s.from("192.0.2.1", cmd)
		second := s.from("192.0.2.1", cmd)
		third := s.from("192.0.2.2", cmd)
		s.commandsInUse(cmd.stats(1, 2))
		assert.True(t, imaptest.IsOK(second.Answer("x")))
		assert.Equal(t, 20*time.Second, time.Since(start))
		assert.True(t, imaptest.IsOK(third.Answer("x")))
		assert.Equal(t, 20*time.Second, time.Since(start), "both began when the first was over")
	})
}

func TestACommandThatGivesUpLetsTheNextOfItsUserIn(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		options := cmd.options(0, 1)
		options.LimitsFor = twoFrom("192.0.2.2")
		s := serve(t, cmd.backend(newWork(10*time.Minute).do), options)
		s.from("192.0.2.1", cmd)
		second := s.from("192.0.2.1", cmd)
		time.Sleep(time.Second)
		s.from("192.0.2.2", cmd)
		s.commandsInUse(cmd.stats(1, 2))
		assert.Equal(t, cmd.refusal, imaptest.Last(second.Answer("x")))
		synctest.Wait()
		s.commandsInUse(cmd.stats(2, 0))
	})
}

func TestALimitOfAUserThatGoesDownKeepsOutWhoWasNext(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		w := newWork(10 * time.Second)
		s := serve(t, cmd.backend(w.do), cmd.options(1, 2))
		s.from("192.0.2.1", cmd)
		next := s.from("192.0.2.1", cmd)
		require.NoError(t, s.limiter.SetOptions(cmd.options(2, 1)))
		synctest.Wait()
		s.commandsInUse(cmd.stats(1, 1))
		assert.True(t, imaptest.IsOK(next.Answer("x")))
		assert.Equal(t, 1, w.most)
	})
}

func TestDryRunReportsACommandThatTookAsLongAsItMayWait(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		var events []limits.Event
		options := cmd.options(1, 0)
		options.DryRun = true
		options.OnEvent = func(e limits.Event) { events = append(events, e) }
		took := []time.Duration{10 * time.Minute, cmd.timeout - 1, cmd.timeout}
		s := serve(t, cmd.backend(func(string) error {
			next := took[0]
			took = took[1:]
			time.Sleep(next)
			return nil
		}), options)
		s.from("192.0.2.1", cmd)
		assert.True(t, imaptest.IsOK(s.from("192.0.2.1", cmd).Answer("x")))
		assert.Empty(t, events)
		assert.True(t, imaptest.IsOK(s.from("192.0.2.1", cmd).Answer("x")))
		require.Len(t, events, 1)
		assert.Equal(t, cmd.timeout, events[0].Waited)
		assert.Equal(t, limits.EventTimedOut, events[0].Kind)
	})
}

// panicking returns options under which nothing is refused, and OnEvent panics at what would be.
func panicking(o limits.Options) *limits.Options {
	o.DryRun = true
	o.OnEvent = func(e limits.Event) {
		if e.Kind == limits.EventTimedOut {
			panic("OnEvent is broken")
		}
	}
	return &o
}

func TestAReportOfDryRunThatPanicsKeepsNoSlot(t *testing.T) {
	eachCommand(t, func(t *testing.T, cmd command) {
		s := serve(t, cmd.backend(newWork(10*time.Minute).do), panicking(*cmd.options(1, 0)))
		for range 2 {
			s.from("192.0.2.1", cmd)
		}
		time.Sleep(time.Hour)
		assert.Contains(t, s.Log(), "OnEvent is broken")
		s.commandsInUse(cmd.stats(0, 0))
	})
}

// A SEARCH that waits for an equal one has no place in the queue yet. It gets one later, even if
// the queue is full by then.
func TestASharedSearchThatHasWaitedIsNotRefusedByAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{MaxSearches: 1, SearchQueueTimeout: time.Minute, ShareSearches: true}
		s := serveFinder(t, &finder{took: 10 * time.Second}, options)
		s.selected("karen").Send("x UID SEARCH SEEN")
		synctest.Wait()
		repeat := s.selected("karen")
		repeat.Send("x UID SEARCH SEEN")
		for _, user := range []string{"bob", "eve"} {
			s.selected(user).Send("x UID SEARCH SEEN")
		}
		synctest.Wait()
		lower := *options
		lower.MaxWaiting = 1
		require.NoError(t, s.limiter.SetOptions(&lower))
		start := time.Now()
		assert.True(t, imaptest.IsOK(repeat.Answer("x")))
		assert.Equal(t, 40*time.Second, time.Since(start), "after its own, and two of others")
	})
}

func TestSessionsShowEachCommand(t *testing.T) {
	for command, name := range map[string]string{
		"SELECT a": "SELECT", "SUBSCRIBE a": "SUBSCRIBE", "UNSUBSCRIBE a": "UNSUBSCRIBE",
		"NAMESPACE": "NAMESPACE", "COPY 1 a": "COPY", "MOVE 1 a": "MOVE",
		`STORE 1 FLAGS (\Seen)`: "STORE", "EXPUNGE": "EXPUNGE",
		"STATUS a (MESSAGES)": "STATUS", "CREATE a": "CREATE", "DELETE a": "DELETE",
		"RENAME a b": "RENAME", `LIST "" *`: "LIST",
		"FETCH 1 FLAGS": "FETCH", "SEARCH ALL": "SEARCH", "UID SEARCH ALL": "SEARCH",
		"APPEND a {3+}\r\nabc": "APPEND",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serveSessions(t, &backend{}, newSlow, limits.DefaultOptions())
				c, _ := s.login("192.0.2.1", "karen")
				c.Cmd("s EXAMINE INBOX")
				time.Sleep(time.Second)
				start := time.Now()
				c.Send("x " + command)
				synctest.Wait()
				running := s.limiter.Sessions()[0]
				assert.Equal(t, name, running.Command)
				assert.Equal(t, start, running.Since)
				c.Answer("x")
				silent := s.limiter.Sessions()[0]
				assert.Empty(t, silent.Command)
				assert.Equal(t, start.Add(time.Minute), silent.Since)
			})
		})
	}
}
