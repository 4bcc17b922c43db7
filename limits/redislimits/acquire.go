package redislimits

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/imapgate/imapgate/limits"
)

// maxAsking is how many scripts of logins may be under way. It is less than the queue of a
// connection holds: a login that waited for room in that queue could not give up.
const maxAsking = 512

var (
	errDown    = errors.New("redislimits: Redis does not answer")
	errTimeout = errors.New("no answer in time")
)

// Acquire takes a lease, as [limits.Cluster] describes. It waits at most Options.Timeout, and not
// at all while Redis is known not to answer, or if there is no limit.
func (c *Cluster) Acquire(login limits.ClusterLogin) (limits.ClusterLease, error) {
	in := c.newLease(login)
	c.held.choose(in, time.Now().Add(c.interval()))
	replaced := c.takeBack(login.Replaces)
	if !in.limited() {
		c.held.hold(in, true)
		c.poke()
		return in, nil
	}
	refusal, err := c.ask(in, c.held.addLeaving(replaced, in))
	if err != nil && c.options.FailClosed {
		refusal = limits.ErrClusterUnavailable
	}
	if refusal != nil && !login.DryRun {
		if err == nil {
			c.held.mayCount(in, false)
		}
		in.Release()
		return nil, refusal
	}
	c.held.hold(in, err != nil) // counted when Redis answers again
	if refusal != nil {
		return in, refusal
	}
	return in, err
}

func (c *Cluster) newLease(login limits.ClusterLogin) *lease {
	in := &lease{
		cluster: c, login: login, at: -1,
		name: c.held.nextName(c.birth), session: login.Info().ID,
	}
	if login.Network.IsValid() {
		in.sets = append(in.sets, c.names.network(login.Network))
	}
	if login.User != "" {
		in.sets = append(in.sets, c.names.user(login.User))
	}
	return in
}

// setLimits returns the limits of the lease's sets, in the order of the sets.
func (in *lease) setLimits() []int {
	var all []int
	if in.login.Network.IsValid() {
		all = append(all, in.login.MaxLoginsPerIP)
	}
	if in.login.User != "" {
		all = append(all, in.login.MaxLoginsPerUser)
	}
	return all
}

// limited reports whether the login could be refused.
func (in *lease) limited() bool {
	most := 0
	for _, limit := range in.setLimits() {
		most = max(most, limit)
	}
	return most > 0 && !in.login.Exempt
}

// refusal returns the answer if this set, counted from 1, is full; nil for 0.
func (in *lease) refusal(set int) error {
	switch {
	case set == 0:
		return nil
	case set == 1 && in.login.Network.IsValid():
		return limits.ErrTooManyIPLogins
	default:
		return limits.ErrTooManyUserLogins
	}
}

// takeBack releases leases of this node, and returns their names.
func (c *Cluster) takeBack(all []limits.ClusterLease) []string {
	var taken []string
	for _, older := range all {
		if older, ok := older.(*lease); ok && older.cluster == c {
			taken = append(taken, older.name)
		}
		older.Release()
	}
	return taken
}

// interval is the time between two renewals.
func (c *Cluster) interval() time.Duration { return c.options.Lease / 3 }

// ask asks Redis for the lease. err means that Redis did not answer.
func (c *Cluster) ask(in *lease, replaced []string) (refusal, err error) {
	full, err := c.call(in, func(ctx context.Context) rueidis.RedisResult {
		return c.sendAcquire(ctx, in, replaced)
	})
	if err != nil {
		return nil, err
	}
	return in.refusal(int(full)), nil
}

// call sends something for a login, and returns the answer, or an error if there is none in time.
// in is the lease that Redis may count if it was sent, or nil.
func (c *Cluster) call(
	in *lease, send func(context.Context) rueidis.RedisResult,
) (int64, error) {
	if c.ctx.Err() != nil {
		return 0, errClosed
	}
	if c.down.Load() {
		return 0, errDown
	}
	began := c.now()
	deadline := time.Now().Add(c.options.Timeout)
	timer := time.NewTimer(c.options.Timeout)
	defer timer.Stop()
	select {
	case <-c.ready:
	case <-c.absent:
		select {
		case <-c.ready:
		default:
			return 0, errDown
		}
	case <-c.ctx.Done():
		return 0, errClosed
	case <-timer.C:
		return 0, c.late(began)
	}
	select {
	case c.asking <- struct{}{}:
	case <-timer.C:
		return 0, c.late(began)
	}
	if c.down.Load() { // it went down during the wait
		<-c.asking
		return 0, errDown
	}
	if in != nil {
		c.held.mayCount(in, true)
	}
	answered := make(chan answer, 1)
	go c.send(deadline, send, answered)
	var a answer
	select {
	case a = <-answered:
	case <-timer.C:
		select {
		case a = <-answered: // this goroutine was late, not Redis
		default:
			return 0, c.late(began)
		}
	}
	if a.err != nil {
		return 0, c.failed(a.err)
	}
	c.timely.Store(c.now())
	return a.number, nil
}

// late counts a login without an answer in time. If no login has had an answer since this one
// began, Redis is down.
func (c *Cluster) late(began int64) error {
	if c.timely.Load() >= began {
		c.errors.Add(1)
		return errTimeout
	}
	return c.failed(errTimeout)
}

// now returns the time since the node started, in nanoseconds.
func (c *Cluster) now() int64 { return int64(time.Since(c.began)) }

// answer is Redis' answer to a script.
type answer struct {
	number int64
	err    error
}

// send runs in its own goroutine, as a client that must reconnect may return late. After the
// deadline it sends nothing, as the lease may have been given back.
func (c *Cluster) send(
	deadline time.Time, send func(context.Context) rueidis.RedisResult, answered chan<- answer,
) {
	defer func() { <-c.asking }()
	ctx, cancel := context.WithDeadline(c.ctx, deadline)
	defer cancel()
	number, err := send(ctx).AsInt64()
	answered <- answer{number, err}
}

func (c *Cluster) sendAcquire(
	ctx context.Context, in *lease, replaced []string,
) rueidis.RedisResult {
	keys := append([]string{c.names.pages(), c.names.page(in.page.name)}, in.sets...)
	forced := "0"
	if in.login.DryRun {
		forced = "1"
	}
	args := []string{c.leaseLength(), c.entry(in.page), in.name, c.published(in), forced}
	for _, limit := range in.setLimits() {
		args = append(args, strconv.Itoa(limit))
	}
	args = append(args, replaced...)
	return acquireScript.Exec(ctx, c.client, keys, args)
}

// leaseLength is the length of a lease in the form for the scripts.
func (c *Cluster) leaseLength() string {
	return strconv.FormatInt(c.options.Lease.Milliseconds(), 10)
}
