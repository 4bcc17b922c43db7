// Package redislimits counts logins over several machines, or over several processes of one, in a
// Redis or Valkey that all of them reach. It is a module of its own, so that the other packages do
// not depend on a client for Redis.
//
//	cluster := redislimits.DefaultOptions()
//	cluster.Client.InitAddress = []string{"127.0.0.1:6379"}
//	options.Cluster, err = redislimits.New(cluster) // of limits.Options
//
// MaxLoginsPerUser and MaxLoginsPerIP then hold for all nodes together. A node is a process with a
// [limits.Limiter]; a server that forks for each connection is many nodes on one machine, and
// reaches Redis best through a Unix socket. All other limits protect a machine, and stay what they
// are: limits of each node.
//
// # What it costs, and what happens without Redis
//
// The limits of the node stay in force first. Then a login whose password was right, and no other,
// asks Redis for a lease: one round trip, and the only thing that a login waits for. Leases are
// renewed in the background, and given back there.
//
// When Redis is down, hung or slower than Options.Timeout, the node's own limits decide, or with
// FailClosed nobody is logged in. Then logins do not ask Redis again, and wait for nothing, until
// it answers a probe. Sessions that were admitted meanwhile are counted as soon as it is back, even
// if there are then more of them than the limit says: nobody is thrown out.
//
// A node that dies frees its sessions when their leases end. A Redis that has lost its data is
// right again after one renewal, a third of a lease. All times are those of Redis, so that the
// clocks of the nodes may differ.
//
// # Guesses
//
// Wrong passwords that slow down a network (MaxGuessDelay) do so on all nodes, and of the checks
// that they delay one goes on at a time on all of them together. With Options.Secret the same name
// and password again counts once on all nodes, else once on each.
//
// # What it does not do
//
// Each node counts by its own limits and keys: UserKey, IPKey and LimitsFor should be the same on
// all. A client that is Exempt counts for others, and does not wait for Redis. UNAUTHENTICATE gives
// the lease back, and a PREAUTH greeting takes one.
//
// A login that only Redis refuses has cost a password check on each node that it tries. EvictIdle
// makes room for it among the sessions of its own node only.
package redislimits

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/redis/rueidis"

	"github.com/imapgate/imapgate/limits"
)

// Options says where Redis is and how it is used. All nodes must have the same Prefix, Lease and
// Secret. [DefaultOptions] is where to start from.
type Options struct {
	// Client is how Redis is reached: one Redis, Sentinels or a Redis Cluster, TLS, name and password.
	// [rueidis.ParseURL] makes it from a URL such as "rediss://user:password@host:6379". Of what is
	// zero in it, buffers, retries and connections are set to what suits this package.
	Client rueidis.ClientOption
	// Prefix begins the name of every key, in braces: they must all be on one node of a Redis
	// Cluster, as a lease is taken by one script. Several services can share a Redis if it differs.
	Prefix string
	// Node is the name of this node in [Cluster.Sessions]. It must be unique: with the same name on
	// two nodes, Disconnect may end a session on either. If empty, it is the name of the host and
	// the number of the process.
	Node string
	// Lease is how long a session counts when its node is not heard of any more. It is renewed after
	// a third of that.
	Lease time.Duration
	// Timeout is the longest that a login waits for Redis.
	Timeout time.Duration
	// FailClosed refuses logins that Redis cannot count with [limits.ErrClusterUnavailable], instead
	// of having the limits of the node decide.
	FailClosed bool
	// Secret, if it is not empty, keeps names and addresses of users out of Redis: keys have a keyed
	// hash of them, and what nodes tell one another is encrypted. Without it, whoever can write to
	// Redis can also end sessions. It has at least 16 bytes.
	Secret []byte
	// Logger is told, at most once a minute, that Redis does not answer, and when it does again. Nil
	// means [log.Default].
	Logger imapserver.Logger
}

// DefaultOptions returns new Options with the prefix "imapgate", a lease of 30 s and a timeout of
// 50 ms. What is left to set is Client.
func DefaultOptions() *Options {
	return &Options{Prefix: "imapgate", Lease: 30 * time.Second, Timeout: 50 * time.Millisecond}
}

// Validate returns an error that names the field and its value if one makes no sense.
func (o *Options) Validate() error {
	switch {
	case len(o.Client.InitAddress) == 0:
		return errors.New("redislimits: Client.InitAddress is empty: it must be an address of Redis")
	case o.Prefix == "" || strings.ContainsAny(o.Prefix, "{}"):
		return fmt.Errorf("redislimits: Prefix is %q: it must be some text without braces", o.Prefix)
	case strings.ContainsAny(o.Node, " \r\n"):
		return fmt.Errorf("redislimits: Node is %q: it must have no spaces", o.Node)
	case o.Lease < minLease:
		return fmt.Errorf("redislimits: Lease is %v: it must be at least %v", o.Lease, minLease)
	case o.Timeout <= 0:
		return fmt.Errorf("redislimits: Timeout is %v: it must be more than 0", o.Timeout)
	case len(o.Secret) > 0 && len(o.Secret) < minSecret:
		return fmt.Errorf(
			"redislimits: Secret has %d bytes: it must have none or at least %d", len(o.Secret), minSecret,
		)
	}
	return nil
}

const (
	minLease  = 100 * time.Millisecond
	minSecret = 16
)

// A Cluster is one node of the cluster, to be given to one [limits.Limiter] as its Cluster. It may
// be used from several goroutines at once.
type Cluster struct {
	options Options
	names   names
	birth   string // tells this node from all others, also from an earlier one of the same name

	ready     chan struct{}  // closed when client is set
	absent    chan struct{}  // closed when Redis was not there at first
	client    rueidis.Client // nil until there is one
	asking    chan struct{}  // has one element for each script that a login has sent
	down      atomic.Bool    // Redis does not answer, and logins do not ask it
	errors    atomic.Uint64
	began     time.Time
	timely    atomic.Int64 // when a login had the last answer that was in time
	lastLog   atomic.Int64 // in Unix nanoseconds
	toldDown  atomic.Bool  // the log says so
	ctx       context.Context
	close     context.CancelFunc
	done      chan struct{} // closed when the worker has ended
	wake      chan struct{} // has an element when there is something in the queue
	closeOnce sync.Once

	held    leases
	guesses guesses
}

var _ limits.GuessCluster = (*Cluster)(nil)

// New returns a node with a copy of the options, and connects to Redis in the background, as often
// as it takes. The error is that of [Options.Validate]. It must be closed.
func New(options *Options) (*Cluster, error) {
	if options == nil {
		options = &Options{}
	}
	if err := options.Validate(); err != nil {
		return nil, err
	}
	c := &Cluster{
		options: *options,
		names:   newNames(options.Prefix, options.Secret),
		birth:   rand.Text()[:16],
		began:   time.Now(),
		ready:   make(chan struct{}),
		absent:  make(chan struct{}),
		asking:  make(chan struct{}, maxAsking),
		done:    make(chan struct{}),
		wake:    make(chan struct{}, 1),
	}
	if c.options.Node == "" {
		host, _ := os.Hostname()
		c.options.Node = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	setClientDefaults(&c.options.Client)
	c.ctx, c.close = context.WithCancel(context.Background())
	go c.work()
	return c, nil
}

// setClientDefaults sets what is zero. Everything goes over one connection, so that commands are
// executed in the order in which they are sent.
func setClientDefaults(o *rueidis.ClientOption) {
	const buffer = 64 << 10
	o.DisableCache = true
	if o.PipelineMultiplex == 0 {
		o.PipelineMultiplex = -1
	}
	if o.ReadBufferEachConn == 0 {
		o.ReadBufferEachConn = buffer
	}
	if o.WriteBufferEachConn == 0 {
		o.WriteBufferEachConn = buffer
	}
	if o.Dialer.Timeout == 0 {
		o.Dialer.Timeout = time.Second
	}
	if o.RetryDelay == nil {
		o.RetryDelay = func(attempts int, _ rueidis.Completed, _ error) time.Duration {
			if attempts > 3 {
				return -1
			}
			return 0
		}
	}
}

// Node returns the name of this node.
func (c *Cluster) Node() string { return c.options.Node }

// Stats returns how many sessions this node has counted, and how Redis is.
func (c *Cluster) Stats() limits.ClusterStats {
	return limits.ClusterStats{
		Leases: c.held.count(), Errors: c.errors.Load(), Down: c.down.Load(),
	}
}

// Close gives all leases back and closes the connection, which takes a second at most. Call it when
// the sessions are closed: those that are not count no more. It returns nil, and may be called
// again.
func (c *Cluster) Close() error {
	c.closeOnce.Do(c.close)
	<-c.done
	return nil
}

// failed counts a call that has failed, and opens the breaker: from now on logins do not wait for
// Redis, until the worker finds that it answers. It returns the error.
func (c *Cluster) failed(err error) error {
	if c.ctx.Err() != nil {
		return err
	}
	c.errors.Add(1)
	c.down.Store(true)
	c.poke()
	if c.mayLog() {
		c.toldDown.Store(true)
		c.printf("redislimits: Redis does not count logins: %v", err)
	}
	return err
}

// mayLog tells whether the last message is at least a minute old, and then counts as a message.
func (c *Cluster) mayLog() bool {
	last, now := c.lastLog.Load(), time.Now().UnixNano()
	return (last == 0 || now-last >= int64(time.Minute)) && c.lastLog.CompareAndSwap(last, now)
}

func (c *Cluster) printf(format string, args ...any) {
	logger := c.options.Logger
	if logger == nil {
		logger = log.Default()
	}
	logger.Printf(format, args...)
}

// poke makes the worker look.
func (c *Cluster) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
