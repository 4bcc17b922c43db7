package idle_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// A function of the options that panics must not leave the client in an IDLE that nobody serves,
// whatever that function is.
func TestAPanicBeforeIdleEndsTheConnection(t *testing.T) {
	for name, options := range map[string]*idle.Options{
		"ModeFor":  {ModeFor: func(string) idle.Mode { panic("no mode") }},
		"Username": {Mode: idle.Poll, Username: func(imapserver.Session) string { panic("no mode") }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := serve(t, idle.Wrap(sessions(newBackend()), options))
				c := server.Login("karen", "pass")
				begin := time.Now()
				c.Send("a IDLE")
				assert.Equal(t, []string{"+ idling", "* BYE Cannot IDLE"}, c.Rest())
				assert.Zero(t, time.Since(begin))
				synctest.Wait()
				assert.Contains(t, server.Log(), "no mode")
			})
		})
	}
}

func TestTheSecondCloseDoesNothing(t *testing.T) {
	b := newBackend()
	session, _, err := idle.Wrap(sessions(b), &idle.Options{Mode: idle.Poll})(nil)
	require.NoError(t, err)
	for range 2 {
		assert.NoError(t, session.Close())
	}
	assert.EqualValues(t, 1, b.closed.Load())
}

// Sessions that began together drift apart, and none polls less often than it should.
func TestEachWaitIsALittleShorter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		server := serve(t, idle.Wrap(sessions(b), &idle.Options{Mode: idle.Poll}))
		begin(t, server.Login("karen", "pass"), b)
		time.Sleep(30 * time.Minute)
		polls, _ := b.seen()
		waits := make(map[time.Duration]int)
		for i := range polls[1:] {
			wait := polls[i+1] - polls[i]
			assert.GreaterOrEqual(t, wait, 27*time.Second)
			assert.LessOrEqual(t, wait, 30*time.Second)
			waits[wait.Truncate(100*time.Millisecond)]++
		}
		assert.Greater(t, len(waits), 10)
	})
}

// slowPoll is a session whose Poll takes two seconds, and that counts how many run at once.
type slowPoll struct {
	imaptest.Stub
	counts *pollCounts
}

type pollCounts struct {
	mu             sync.Mutex
	now, most, all int
}

func (c *pollCounts) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += n
	c.most = max(c.most, c.now)
	if n > 0 {
		c.all++
	}
}

func (s slowPoll) Poll(*imapserver.UpdateWriter, bool) error {
	s.counts.add(1)
	defer s.counts.add(-1)
	time.Sleep(2 * time.Second)
	return nil
}

func TestMaxPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counts := &pollCounts{}
		server := serve(t, idle.Wrap(
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return slowPoll{counts: counts}, nil, nil
			},
			&idle.Options{Mode: idle.Poll, PollInterval: time.Second, MaxPolls: 3},
		))
		const n = 30
		clients := make([]*imaptest.Conn, n)
		for i := range clients {
			clients[i] = server.Login("karen", "pass")
			clients[i].Send("i IDLE")
			clients[i].Line()
		}
		time.Sleep(time.Minute)
		server.Close()
		time.Sleep(3 * time.Second) // those who were polled
		counts.mu.Lock()
		defer counts.mu.Unlock()
		assert.Equal(t, 3, counts.most)
		// Three in two seconds, after the first second. Those of go-imap itself, one for each LOGIN
		// or IDLE that is over, are not limited.
		assert.InDelta(t, 3*59/2, counts.all, 4)
	})
}

// Whoever waits for a turn can go at once.
func TestLeavingWhileOthersArePolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocked, waiting := newBackend(), newBackend()
		blocked.block = make(chan struct{})
		server := serve(t, idle.Wrap(sessions(blocked, waiting), &idle.Options{
			Mode: idle.Poll, PollInterval: time.Second, MaxPolls: 1,
		}))
		first := server.Login("karen", "pass")
		begin(t, first, blocked)
		time.Sleep(2 * time.Second) // it is polled now
		second := server.Login("bob", "pass")
		begin(t, second, waiting)
		time.Sleep(10 * time.Second)
		polls, _ := waiting.seen()
		assert.Empty(t, polls)
		start := time.Now()
		waiting.inIdle(false)
		second.Send("DONE")
		assert.Equal(t, "i OK IDLE completed", second.Line())
		assert.Zero(t, time.Since(start))
		close(blocked.block)
	})
}

// The turn of a session that closes, or whose poll panics, goes to the next one.
func TestMaxPollsLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := serve(t, idle.Wrap(
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return panicking{}, nil, nil
			},
			&idle.Options{Mode: idle.Poll, MaxPolls: 1},
		))
		for range 3 {
			c := server.Login("karen", "pass")
			c.Send("a IDLE")
			assert.Equal(t, []string{"+ idling", "* BYE Cannot look for updates"}, c.Rest())
		}
	})
}
