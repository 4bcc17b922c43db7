package redislimits_test

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/limits/redislimits"
)

func TestRacingNodesNeverExceedTheLimit(t *testing.T) {
	for nodes := 2; nodes <= 3; nodes++ {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) {
			r := startRedis(t)
			var clusters []*redislimits.Cluster
			for range nodes {
				clusters = append(clusters, newNode(t, options(r.address())))
			}
			const limit = 10
			var inside, most, refused atomic.Int64
			enter := func(c *redislimits.Cluster) limits.ClusterLease {
				lease, err := c.Acquire(login("karen", limit))
				if err != nil {
					assert.ErrorIs(t, err, limits.ErrTooManyUserLogins)
					refused.Add(1)
					return nil
				}
				n := inside.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				return lease
			}
			race(clusters, 15, func(c *redislimits.Cluster) {
				if lease := enter(c); lease != nil {
					time.Sleep(time.Millisecond)
					inside.Add(-1)
					lease.Release()
				}
			})
			assert.LessOrEqual(t, most.Load(), int64(limit))
			assert.NotZero(t, refused.Load())
			client := r.client()
			eventually(t, "all is given back", func() bool { return count(t, client, "karen") == 0 })

			race(clusters, 5, func(c *redislimits.Cluster) { enter(c) })
			assert.EqualValues(t, limit, inside.Load(), "when nobody leaves")
		})
	}
}

// race calls f from 20 goroutines for each node, that many times in each.
func race(nodes []*redislimits.Cluster, times int, f func(*redislimits.Cluster)) {
	var all sync.WaitGroup
	for _, c := range nodes {
		for range 20 {
			all.Go(func() {
				for range times {
					f(c)
				}
			})
		}
	}
	all.Wait()
}

// down waits until the node knows that Redis does not answer. The node learns it from logins.
func down(t *testing.T, c *redislimits.Cluster) {
	eventually(t, "the node knows", func() bool {
		lease, err := c.Acquire(login("nobody", 100))
		if lease != nil {
			lease.Release()
		}
		return err != nil && c.Stats().Down
	})
}

func TestARedisThatLostItsDataIsRightAfterOneRenewal(t *testing.T) {
	r := startRedis(t)
	logger := newLogged()
	o := short(r.address())
	o.Logger = logger
	one, two := newNode(t, o), newNode(t, o)
	for range 5 {
		admit(t, one, login("karen", 10))
		admit(t, two, login("karen", 10))
	}
	refuse(t, one, login("karen", 10), limits.ErrTooManyUserLogins)

	r.kill()
	down(t, one)
	down(t, two)
	lease, err := one.Acquire(login("karen", 10)) // the limits of the node decide
	assert.Error(t, err)
	require.NotNil(t, lease)
	assert.Equal(t, 6, one.Stats().Leases)
	for range 100 {
		lease, err := one.Acquire(login("bob", 10))
		assert.Error(t, err)
		lease.Release()
	}

	r.start()
	client := r.client()
	eventually(t, "all are counted again", func() bool { return count(t, client, "karen") == 11 })
	eventually(t, "the nodes know", func() bool { return !one.Stats().Down && !two.Stats().Down })
	refuse(t, two, login("karen", 11), limits.ErrTooManyUserLogins)
	assert.Zero(t, count(t, client, "bob"), "nothing is left of who left meanwhile")
	lines := logger.all()
	assert.LessOrEqual(t, len(lines), 4, "two nodes, down and up: %q", lines)
	assert.NotEmpty(t, lines)
}

func TestAHungRedisDelaysOneLogin(t *testing.T) {
	r := startRedis(t)
	o := options(r.address())
	o.Timeout = 200 * time.Millisecond
	c := newNode(t, o)
	eventually(t, "it answers", func() bool {
		lease, err := c.Acquire(login("karen", 100))
		return err == nil && lease != nil
	})
	r.signal(syscall.SIGSTOP)
	down(t, c)
	// If a login or a logout waited for Redis, a thousand of them would take 200 s.
	assert.Less(t, took(func() {
		for range 1000 {
			lease, err := c.Acquire(login("karen", 100))
			assert.Error(t, err)
			require.NotNil(t, lease)
			lease.Release()
		}
	}), patience)
	r.signal(syscall.SIGCONT)
	eventually(t, "it answers again", func() bool { return !c.Stats().Down })
}

func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// Leases end while nobody can renew them, and are back afterwards.
func TestAHungRedisIsRightAfterOneRenewal(t *testing.T) {
	r := startRedis(t)
	o := short(r.address())
	o.Lease = 300 * time.Millisecond
	one, two := newNode(t, o), newNode(t, o)
	admit(t, one, login("karen", 2))
	leaves := admit(t, two, login("karen", 2))
	r.signal(syscall.SIGSTOP)
	time.Sleep(2 * o.Lease)
	leaves.Release()
	r.signal(syscall.SIGCONT)
	client := r.client()
	counted := func() bool { return count(t, client, "karen") == 1 }
	eventually(t, "who stayed is counted", counted)
	eventually(t, "the nodes know", func() bool { return !one.Stats().Down && !two.Stats().Down })
	time.Sleep(2 * o.Lease)
	eventually(t, "only who stayed", counted) // unless it is renewed late for a moment
}

// proxy forwards connections to Redis, until it drops everything that is sent on them.
type proxy struct {
	net.Listener
	to   string
	mu   sync.Mutex
	cond *sync.Cond
	drop bool
}

func newProxy(t *testing.T, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{Listener: l, to: to}
	p.cond = sync.NewCond(&p.mu)
	t.Cleanup(func() {
		l.Close()
		p.set(false)
	})
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(from)
		}
	}()
	return p
}

func (p *proxy) serve(from net.Conn) {
	defer from.Close()
	p.mu.Lock()
	address := p.to
	p.mu.Unlock()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		both.Go(func() {
			defer pair[1].Close()
			buffer := make([]byte, 64<<10)
			for {
				n, err := pair[0].Read(buffer)
				if err != nil {
					return
				}
				if p.dropping() {
					p.wait() // as after a real partition, the connection is useless
					return
				}
				if _, err := pair[1].Write(buffer[:n]); err != nil {
					return
				}
			}
		})
	}
	both.Wait()
}

func (p *proxy) set(drop bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop = drop
	p.cond.Broadcast()
}

// forward sends new connections to another address.
func (p *proxy) forward(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

func (p *proxy) dropping() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drop
}

func (p *proxy) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.drop {
		p.cond.Wait()
	}
}

func TestAPartitionOfOneNode(t *testing.T) {
	r := startRedis(t)
	p := newProxy(t, r.address())
	near := newNode(t, short(r.address()))
	o := short(p.Addr().String())
	o.Timeout = 500 * time.Millisecond
	far := newNode(t, o)
	admit(t, near, login("karen", 2))
	eventuallyAdmit(t, far, login("karen", 2))
	refuse(t, near, login("karen", 2), limits.ErrTooManyUserLogins)

	p.set(true)
	down(t, far)
	assert.False(t, near.Stats().Down, "the other node has its Redis")
	client := r.client()
	eventually(t, "the lease of who cannot renew it ends", func() bool {
		lease, err := near.Acquire(login("karen", 2))
		if err == nil {
			require.NotNil(t, lease)
		}
		return err == nil
	})
	lease, err := far.Acquire(login("karen", 2))
	assert.Error(t, err)
	assert.NotNil(t, lease)

	p.set(false)
	eventually(t, "all four are counted", func() bool { return count(t, client, "karen") == 4 })
	refuse(t, near, login("karen", 4), limits.ErrTooManyUserLogins)
	eventually(t, "the far node is back", func() bool { return !far.Stats().Down })
	refuse(t, far, login("karen", 4), limits.ErrTooManyUserLogins)
}

func TestFailClosed(t *testing.T) {
	r := startRedis(t)
	o := short(r.address())
	o.FailClosed = true
	c := newNode(t, o)
	admit(t, c, login("karen", 2))
	r.kill()
	for range 3 {
		refuse(t, c, login("karen", 2), limits.ErrClusterUnavailable)
	}
	free := login("karen", 0)
	admit(t, c, free)
	dry := login("karen", 2)
	dry.DryRun = true
	lease, err := c.Acquire(dry)
	assert.ErrorIs(t, err, limits.ErrClusterUnavailable)
	assert.NotNil(t, lease)
	r.start()
	client := r.client()
	eventually(t, "who is in is counted", func() bool { return count(t, client, "karen") == 3 })
}

func TestARedisThatIsNotThereYet(t *testing.T) {
	r := startRedis(t)
	r.kill()
	logger := newLogged()
	o := short(r.address())
	o.Logger = logger
	c := newNode(t, o)
	lease, err := c.Acquire(login("karen", 2))
	assert.Error(t, err)
	require.NotNil(t, lease)
	r.start()
	client := r.client()
	eventually(t, "it is counted", func() bool { return count(t, client, "karen") == 1 })
	assert.Contains(t, <-logger.lines, "redislimits: Redis does not count logins: ")
	assert.Equal(t, "redislimits: Redis answers again", <-logger.lines)
	assert.False(t, c.Stats().Down)
}

// A Redis that pauses writes still answers PING. That must not close the breaker.
func TestARedisThatDoesNotWriteIsDown(t *testing.T) {
	r := startRedis(t)
	o := options(r.address())
	o.Timeout = 100 * time.Millisecond
	c := newNode(t, o)
	eventually(t, "it answers", func() bool {
		_, err := c.Acquire(login("karen", 100))
		return err == nil
	})
	client := r.client()
	do(t, client, "CLIENT", "PAUSE", "3600000", "WRITE")
	down(t, c)
	for range 20 {
		time.Sleep(20 * time.Millisecond)
		assert.True(t, c.Stats().Down)
	}
	do(t, client, "CLIENT", "UNPAUSE")
	eventually(t, "the pause is over", func() bool { return !c.Stats().Down })
}

func TestConnectionsThatBreakAreMadeAnew(t *testing.T) {
	r := startRedis(t)
	c := newNode(t, options(r.address()))
	admit(t, c, login("karen", 100))
	client := r.client()
	for range 5 {
		killAll := client.B().Arbitrary("CLIENT", "KILL", "TYPE", "normal").Build()
		require.NoError(t, client.Do(t.Context(), killAll).Error())
		eventually(t, "it answers", func() bool {
			lease, err := c.Acquire(login("karen", 100))
			lease.Release()
			return err == nil
		})
	}
	eventually(t, "one is left", func() bool { return count(t, client, "karen") == 1 })
}
