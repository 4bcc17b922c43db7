package chaos_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

var (
	chaosTime = flag.Duration(
		"chaos", 2*time.Second,
		"how long the chaos over sockets lasts; in memory thirty times as long goes by, "+
			"and costs about as much",
	)
	chaosSeed = flag.Uint64("chaos-seed", 0, "what the chaos does; 0: something new each time")
)

const (
	chaosClients = 200
	chaosUsers   = 9
	maxIdles     = 2 // of a user
)

// chaos is a server whose clients do random things, while its backend has faults and its limits
// change.
type chaos struct {
	t        testing.TB
	unit     time.Duration // the unit of time for clients and backend
	duration time.Duration
	patience time.Duration // how long clients wait
	margin   time.Duration // how much longer than its timeout a wait may be
	large    int           // bytes of the largest messages: more than a connection's buffers hold
	hasIdle  bool

	seed    uint64
	witness *witness
	backend *backend
	limiter *limits.Limiter
	tempDir string
	dial    func(ip int) (net.Conn, error)
}

// run starts the server with serve, which returns how to dial the server and how to stop it.
func (c *chaos) run(
	serve func(*imapserver.Options) (dial func(ip int) (net.Conn, error), stop func()),
) {
	if c.seed = *chaosSeed; c.seed == 0 {
		c.seed = rand.Uint64()
	}
	c.t.Logf("-chaos %v -chaos-seed %d", *chaosTime, c.seed)
	c.tempDir = c.t.TempDir()
	c.witness = newWitness(c.t, c.margin, maxIdles, c.unit/4)
	c.backend = &backend{
		unit: c.unit, seed: c.seed, idles: c.witness.idling,
		bodies: [][]byte{content(300), content(1000), content(5000), content(c.large)},
	}
	c.limiter = limits.New(nil)
	dice := rand.New(rand.NewPCG(c.seed, 0))
	c.change(c.randomOptions(dice))

	dial, stop := serve(&imapserver.Options{
		NewSession:   c.witness.around(c.limiter, c.stack()),
		InsecureAuth: true,
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapMove: {}, imap.CapUIDPlus: {}},
		Logger:       panics{c.t},
	})
	c.dial = dial
	c.riot(dice)
	c.assertNobodyLeft()
	c.assertAllWorks()
	c.assertNobodyLeft()
	stop()
	c.limiter.Close()
	assert.Empty(c.t, entries(c.limiter), "left in the limiter")
	assertNoFiles(c.t, c.tempDir)
	w := c.witness
	c.t.Logf(
		"%d connections (%d at once), %d password checks (%d), %d logins (%d), %d FETCHes (%d), "+
			"%d SEARCHes (%d), %d other commands (%d), %d IDLEs (%d), %d waited, %d joined, %d timed out, "+
			"%d refused, %d evicted, %d panics, limits changed %d times",
		w.connections.total, w.connections.most, w.checks.total, w.checks.most,
		w.logins.total, w.logins.most, w.fetches.total, w.fetches.most,
		w.searches.total, w.searches.most, w.others.total, w.others.most,
		w.idles.total, w.idles.most, w.waited.Load(), w.joined.Load(), w.timedOut.Load(),
		w.refused.Load(), w.evicted.Load(), c.backend.panics.Load(), len(w.history),
	)
}

// panics is a log that reports panics, except those that are the backend's faults.
type panics struct{ t testing.TB }

func (p panics) Printf(format string, args ...any) {
	if strings.HasPrefix(format, "panic") && args[0] != errPanic {
		p.t.Errorf(format, args...)
	}
}

// stack is every package except limits. Each session gets some mode of each.
func (c *chaos) stack() limits.NewSessionFunc {
	next := copymeta.Wrap(c.backend.NewSession, &copymeta.Options{
		Move:      true,
		MaxMemory: 1000,
		TempDir:   c.tempDir,

		MaxTotalMemory:   5000,
		MaxTotalBytes:    50_000,
		QueueTimeout:     10 * c.unit,
		ProgressInterval: c.unit,

		Logger: panics{c.t},
		PolicyFor: func(_, dest string) (date, flags copymeta.Policy) {
			switch dest {
			case "INBOX":
				return copymeta.Keep, copymeta.Keep
			case "Work":
				return copymeta.Reset, copymeta.Reset
			default:
				return copymeta.Preserve, copymeta.Preserve
			}
		},
	})
	next = vfolders.Wrap(next, nil)
	return idle.Wrap(next, &idle.Options{
		ModeFor:      c.idleMode,
		PollInterval: c.unit,
		MaxPerUser:   maxIdles,
		MaxDuration:  10 * c.unit,
	})
}

func (c *chaos) idleMode(user string) idle.Mode {
	if !c.hasIdle {
		return idle.Off
	}
	return idle.Mode(int(user[len(user)-1]) % 3)
}

func user(n int) string { return fmt.Sprintf("user%02d", n%chaosUsers) }

// riot starts the clients, and returns when all have hung up.
func (c *chaos) riot(dice *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), c.duration)
	defer cancel()
	var group sync.WaitGroup
	for i := range chaosClients {
		group.Go(func() {
			client := &client{
				t:        c.t,
				unit:     c.unit,
				patience: c.patience,
				dice:     rand.New(rand.NewPCG(c.seed, uint64(i)+1)),
				user:     user(i),
				leaving:  c.witness.leaving,
			}
			client.live(ctx, c.dial)
		})
	}
	for pause(ctx, time.Duration(dice.Int64N(int64(2*c.unit)))) {
		c.change(c.randomOptions(dice))
	}
	group.Wait()
}

func (c *chaos) change(options *limits.Options) {
	options.OnEvent = c.witness.onEvent
	c.witness.change(options, c.limiter.SetOptions)
}

func (c *chaos) randomOptions(dice *rand.Rand) *limits.Options {
	upTo := func(most int) int { // sometimes there is no limit
		if dice.IntN(8) == 0 {
			return 0
		}
		return 1 + dice.IntN(most)
	}
	units := func(most int) time.Duration { return time.Duration(upTo(4*most)) * c.unit / 4 }
	share := dice.IntN(4) > 0
	options := &limits.Options{
		MaxConnections:      upTo(4) * 50,
		MaxConnectionsPerIP: upTo(4) * 10,
		MaxLoginsPerUser:    upTo(16),
		MaxLoginsPerIP:      upTo(4) * 8,
		MaxFailedLogins:     upTo(3),
		MaxLoginChecks:      upTo(8),
		MaxLoginChecksPerIP: upTo(3),
		MaxGuessDelay:       units(4) * time.Duration(dice.IntN(2)),
		MaxFetches:          upTo(8),
		MaxFetchesPerUser:   upTo(3),
		FetchQueueTimeout:   units(4),
		MaxSearches:         upTo(4),
		MaxSearchesPerUser:  upTo(2),
		SearchQueueTimeout:  units(4),
		MaxCommands:         upTo(12),
		MaxCommandsPerUser:  upTo(4),
		CommandQueueTimeout: units(4),
		MaxWaiting:          upTo(30) * dice.IntN(2),
		MaxWaitingPerUser:   upTo(5) * dice.IntN(2),
		ShareSearches:       share,
		JoinRunning:         share && dice.IntN(2) == 0,
		ProgressInterval:    4 * units(4),
		FetchRunTimeout:     units(8),
		SearchRunTimeout:    units(8),
		StallTimeout:        4 * units(8),
		LoginTimeout:        40 * units(4),
		MaxListPatterns:     upTo(3),
		MaxListWildcards:    upTo(6),
		MaxMailboxName:      upTo(30),
		MaxAppendSize:       int64(upTo(100)) * 1000,
		EvictIdle:           units(1) * time.Duration(dice.IntN(2)),
	}
	if dice.IntN(2) == 0 {
		options.LimitsFor = someOthers(dice.IntN(3))
	}
	if dice.IntN(2) == 0 {
		options.Exempt = []netip.Prefix{
			netip.MustParsePrefix(addresses[6] + "/32"), netip.MustParsePrefix("127.0.0.8/32"),
		}
	}
	return options
}

// someOthers gives every third user, and every third address, limits that differ from the rest.
func someOthers(n int) func(limits.Client) limits.ClientLimits {
	return func(client limits.Client) limits.ClientLimits {
		own := client.Limits
		if len(client.User) > 0 && int(client.User[len(client.User)-1])%3 == n {
			own.MaxLoginsPerUser = 2*own.MaxLoginsPerUser + n
			own.MaxFetchesPerUser += 2
			own.MaxSearchesPerUser = n
			own.ProgressInterval = 0
		}
		if ip := client.Addr.AsSlice(); int(ip[len(ip)-1])%3 == n {
			own.MaxConnectionsPerIP = max(own.MaxConnectionsPerIP/2, 1)
			own.MaxLoginsPerIP += 5
			own.MaxFailedLogins = n
		}
		return own
	}
}

// assertMuchHappened fails if the clients did not reach the limits, because then the test shows
// nothing.
func (c *chaos) assertMuchHappened() {
	w := c.witness
	for _, r := range append(w.rooms(), &w.idles) {
		assert.Greater(c.t, r.total, 10, r.name)
		assert.Greater(c.t, r.most, 1, r.name)
	}
	for what, n := range map[string]*atomic.Int64{
		"waited": &w.waited, "timed out": &w.timedOut, "refused": &w.refused, "evicted": &w.evicted,
		"panics": &c.backend.panics,
	} {
		assert.NotZero(c.t, n.Load(), what)
	}
}

// assertNobodyLeft waits until the sessions have noticed that their clients are gone.
func (c *chaos) assertNobodyLeft() {
	nobody := func() bool {
		stats := c.limiter.Stats()
		stats.Refused, stats.Total = limits.Refusals{}, limits.Totals{}
		return stats == limits.Stats{} && len(c.limiter.Sessions()) == 0
	}
	if !until(c.patience, nobody) {
		c.t.Errorf(
			"left in the limiter: %+v %+v\n%s", c.limiter.Stats(), c.limiter.Sessions(),
			strings.Join(goroutines(), "\n\n"),
		)
	}
	w := c.witness
	// When the server closes a session, it does not wait for an IDLE of the backend.
	if !until(c.patience, func() bool { return w.inside(&w.idles) == 0 }) {
		c.t.Errorf("%d IDLEs that do not end", w.inside(&w.idles))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.rooms() {
		assert.Empty(c.t, r.stays, "%s that the limiter has forgotten", r.name)
	}
}

// assertAllWorks has each user take all slots, without faults. If a slot was not given back, it is
// missing now.
func (c *chaos) assertAllWorks() {
	c.backend.calm.Store(true)
	c.change(&limits.Options{
		MaxConnections:      maxIdles,
		MaxLoginsPerUser:    maxIdles,
		MaxLoginChecks:      1,
		MaxFetches:          1,
		MaxFetchesPerUser:   1,
		FetchQueueTimeout:   c.unit,
		MaxSearches:         1,
		MaxSearchesPerUser:  1,
		SearchQueueTimeout:  c.unit,
		MaxCommands:         1,
		MaxCommandsPerUser:  1,
		CommandQueueTimeout: c.unit,
	})
	for i := range chaosUsers {
		var conns []*imaptest.Conn
		for range maxIdles {
			conn, err := c.dial(0)
			if err != nil {
				c.t.Errorf("dial: %v", err)
				return
			}
			client := imaptest.NewConn(c.t, conn)
			client.Line()
			for _, command := range []string{
				"LOGIN " + user(i) + " pass", "SELECT INBOX", "FETCH 1:* FLAGS", "UID SEARCH ALL",
				"STATUS INBOX (MESSAGES)",
			} {
				if answer := client.Cmd("a " + command); !imaptest.IsOK(answer) {
					c.t.Errorf("%s of %s in the end: %q", command, user(i), answer)
				}
			}
			conns = append(conns, client)
		}
		if c.idleMode(user(i)) == idle.On {
			for _, client := range conns {
				client.Send("b IDLE")
				client.Line()
			}
			if !until(c.patience, func() bool { return c.witness.idlesOf(user(i)) == maxIdles }) {
				c.t.Errorf("%d IDLEs of %s in the end", c.witness.idlesOf(user(i)), user(i))
			}
			for _, client := range conns {
				client.Send("DONE")
				client.Answer("b")
			}
		}
		for _, client := range conns {
			answer := client.Cmd("c LOGOUT")
			assert.True(c.t, imaptest.IsOK(answer), "%q", answer)
			client.Rest()
		}
		if !until(c.patience, func() bool { return c.limiter.Stats().Connections == 0 }) {
			c.t.Errorf("connections of %s stay", user(i))
		}
	}
}

// until waits until something is true, for at most longest. It reports whether it became true.
func until(longest time.Duration, done func() bool) bool {
	for end := time.Now().Add(longest); !done(); {
		if time.Now().After(end) {
			return false
		}
		pause(context.Background(), time.Millisecond)
	}
	return true
}
