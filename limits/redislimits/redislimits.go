// Package redislimits counts logins over several machines, or over several processes of one
// machine, in a Redis or Valkey that all of them can reach. It is a separate module, so that the
// other packages do not depend on a Redis client.
//
//	cluster := redislimits.DefaultOptions()
//	cluster.Client.InitAddress = []string{"127.0.0.1:6379"}
//	options.Cluster, err = redislimits.New(cluster) // of limits.Options
//
// MaxLoginsPerUser and MaxLoginsPerIP then hold for all nodes together. A node is a process with a
// [limits.Limiter]. A server that forks for each connection is many nodes on one machine, and
// reaches Redis best through a Unix socket. All other limits protect one machine, so they still
// hold for each node.
//
// # What it costs, and what happens without Redis
//
// A login first meets the node's own limits. If they allow it and its password was right, it asks
// Redis for a lease, which is one round trip. Nothing else waits for Redis after the password
// check: leases are renewed and released in the background.
//
// When Redis is down, hung or slower than Options.Timeout, the node's own limits decide, or with
// FailClosed nobody can log in. After that, logins neither ask Redis nor wait until it answers a
// probe. Sessions that logged in meanwhile are counted as soon as Redis is back, even if they
// exceed the limit: nobody is disconnected.
//
// If a node dies, its sessions stop counting when their leases end. A Redis that has lost its data
// is right again after one renewal, a third of a lease. A Redis whose memory is full still counts
// logins. All times are by the clock of Redis, so the clocks of the nodes may differ.
//
// # Guesses
//
// Wrong passwords that delay a network (MaxGuessDelay) delay it on all nodes. Of the delayed checks
// only one runs at a time on all nodes together. With Options.Secret the same name and password
// again counts once for all nodes, otherwise once on each. A node that has listened for less than
// two hours asks Redis for earlier wrong passwords when a client connects. A login that comes
// before the answer waits for it, up to Options.Timeout.
//
// # What it does not do
//
// Each node uses its own limits and keys, so UserKey, IPKey and LimitsFor should be the same on
// all. An Exempt client counts against others, and does not wait for Redis. UNAUTHENTICATE gives
// the lease back, and a PREAUTH greeting takes one.
//
// A login that only Redis refuses has cost a password check on each node that it tries. EvictIdle
// makes room for it only among the sessions of its own node.
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
// Secret. Start from [DefaultOptions].
type Options struct {
	// Client says how to reach Redis: one Redis, Sentinels or a Redis Cluster, TLS, name and password.
	// [rueidis.ParseURL] makes it from a URL such as "rediss://user:password@host:6379". Zero buffers,
	// retries and connections get values that suit this package.
	Client rueidis.ClientOption
	// Prefix begins each key, in braces, so that all keys are on one node of a Redis Cluster. Services
	// with different prefixes can share a Redis. All keys with it are ours: one of another type is
	// deleted.
	Prefix string
	// Node is the name of this node in [Cluster.Sessions]; if empty, the host's name and the process
	// number. It must be unique: otherwise Disconnect may end a session on another node of that name.
	Node string
	// Lease is how long a session still counts after its node was last heard of. A third of it is the
	// time between two renewals.
	Lease time.Duration
	// Timeout is the longest time that a login waits for Redis. What no login waits for has a second
	// at least.
	Timeout time.Duration
	// FailClosed refuses a login that Redis cannot count, with [limits.ErrClusterUnavailable]. If
	// false, the limits of the node decide.
	FailClosed bool
	// Secret, of at least 16 bytes, keeps users' names and addresses out of Redis: keys have keyed
	// hashes, and messages and values are encrypted. If empty, anyone who can write to Redis can end
	// sessions.
	Secret []byte
	// Logger logs, at most once a minute, that Redis does not answer, and then that it answers again.
	// Nil means [log.Default].
	Logger imapserver.Logger
}

// DefaultOptions returns new Options with the prefix "imapgate", a lease of 30 s and a timeout of
// 50 ms. You must set Client.
func DefaultOptions() *Options {
	return &Options{Prefix: "imapgate", Lease: 30 * time.Second, Timeout: 50 * time.Millisecond}
}

// Validate returns an error with the name and the value of the first field that is not valid, or
// nil.
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

// A Cluster is one node, and the Cluster of one [limits.Limiter]. It is safe for concurrent use.
type Cluster struct {
	options Options
	names   names
	birth   string // unique to this node, also after a restart with the same name

	ready     chan struct{}  // closed when client is set
	absent    chan struct{}  // closed if the first attempt to connect failed
	client    rueidis.Client // nil until connected
	asking    chan struct{}  // has one element for each script of a login under way
	down      atomic.Bool    // Redis does not answer, and logins do not ask it
	errors    atomic.Uint64
	began     time.Time
	timely    atomic.Int64 // when a login last had an answer in time, by now
	listening atomic.Int64 // since when the node has heard all messages, by now
	lastLog   atomic.Int64 // in Unix nanoseconds
	toldDown  atomic.Bool  // the log says that Redis is down
	ctx       context.Context
	close     context.CancelFunc
	done      chan struct{} // closed when the worker has returned
	wake      chan struct{} // has an element when there is work to do
	closeOnce sync.Once

	held    leases
	guesses guesses
}

var _ limits.GuessCluster = (*Cluster)(nil)

// New returns a node with a copy of the options, or the error of [Options.Validate]. It connects to
// Redis in the background, and retries until it succeeds. Close must be called.
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

// setClientDefaults sets zero fields. All commands use one connection, so that they are executed in
// the order in which they are sent.
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

// Stats returns how many sessions this node counts, and the state of Redis.
func (c *Cluster) Stats() limits.ClusterStats {
	return limits.ClusterStats{
		Leases: c.held.count(), Errors: c.errors.Load(), Down: c.down.Load(),
	}
}

// Close releases all leases and closes the connection. It takes at most a second, also when Redis
// does not answer. Call it after
// the sessions are closed: those that are still open no longer count. It returns nil, and may be
// called again.
func (c *Cluster) Close() error {
	c.closeOnce.Do(c.close)
	<-c.done
	return nil
}

// failed counts a failed call, and opens the breaker: from now on logins do not wait for Redis,
// until the worker finds that it answers. It returns the error.
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

// unshared counts a failed try to share wrong passwords. If Redis only refused it, logins still ask
// Redis: a stranger can guess, and must not open the breaker.
func (c *Cluster) unshared(err error) {
	if _, refused := rueidis.IsRedisErr(err); !refused || c.ctx.Err() != nil {
		c.failed(err)
		return
	}
	c.errors.Add(1)
	if c.mayLog() {
		c.printf("redislimits: Redis does not share wrong passwords: %v", err)
	}
}

// isWrongType reports whether a key has a type that we did not give it.
func isWrongType(err error) bool {
	refused, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(refused.Error(), "WRONGTYPE")
}

// mayLog reports whether the last message is at least a minute old. If so, it notes a new message.
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

// poke wakes the worker.
func (c *Cluster) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
