package redislimits

import (
	"context"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

const (
	// workTimeout is how long the worker waits for an answer, or as long as a login if that is longer.
	workTimeout = time.Second
	// firstProbe is the time from a failure to the first probe of Redis, and lastProbe the longest
	// time between two probes.
	firstProbe = 50 * time.Millisecond
	lastProbe  = 250 * time.Millisecond
	// maxBatch is how many leases are given back at once.
	maxBatch = 256
)

func (c *Cluster) workTimeout() time.Duration { return max(workTimeout, c.options.Timeout) }

// work does everything that no login or logout waits for: it connects, renews leases and gives them
// back. It does one thing at a time, so a lease is never renewed after it was given back.
func (c *Cluster) work() {
	defer close(c.done)
	if !c.connect() {
		return
	}
	defer c.client.Close()
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		c.listen()
	}()
	w := worker{Cluster: c}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.ctx.Done():
			w.leave()
			<-listening
			return
		case <-c.wake:
		case <-timer.C:
		}
		timer.Reset(w.turn())
	}
}

// connect makes the client, and reports whether there is one. There is none if the cluster is
// closed before.
func (c *Cluster) connect() bool {
	for pause := firstProbe; ; pause = min(2*pause, lastProbe) {
		client, err := c.newClient()
		if err == nil {
			c.client = client
			close(c.ready)
			return true
		}
		c.failed(err)
		if pause == firstProbe {
			close(c.absent)
		}
		select {
		case <-c.ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

// newClient connects to Redis, until the cluster is closed.
func (c *Cluster) newClient() (rueidis.Client, error) {
	type result struct {
		client rueidis.Client
		err    error
	}
	made := make(chan result, 1)
	go func() {
		client, err := rueidis.NewClient(c.options.Client)
		made <- result{client, err}
	}()
	select {
	case r := <-made:
		return r.client, r.err
	case <-c.ctx.Done():
		go func() {
			if r := <-made; r.err == nil {
				r.client.Close()
			}
		}()
		return nil, errClosed
	}
}

// worker has the state that only the worker uses.
type worker struct {
	*Cluster
	probe     time.Duration // the time between two probes; 0 while Redis answers
	nextProbe time.Time
	hurry     int       // pages to renew without a pause, as Redis seems to have lost them
	paused    time.Time // no page is renewed before, so that logins get their turn
}

// turn does what must be done now, and returns the time until there is more to do.
func (w *worker) turn() time.Duration {
	if w.down.Load() && !w.recover() {
		return time.Until(w.nextProbe)
	}
	if !w.giveBack() || !w.joinNew() || !w.shareGuesses() {
		return firstProbe
	}
	return w.renewNext()
}

// recover closes the breaker if Redis answers within Options.Timeout, as a login needs. It asks
// only when a probe is due.
func (w *worker) recover() bool {
	if time.Now().Before(w.nextProbe) {
		return false
	}
	ctx, cancel := context.WithTimeout(w.ctx, w.options.Timeout)
	defer cancel()
	if err := probeScript.Exec(ctx, w.client, []string{w.names.pages()}, nil).Error(); err != nil {
		w.probe = min(max(2*w.probe, firstProbe), lastProbe)
		w.nextProbe = time.Now().Add(w.probe)
		w.leaveReplica(ctx, err)
		return false
	}
	w.probe, w.nextProbe = 0, time.Time{}
	w.down.Store(false)
	if w.toldDown.Swap(false) {
		w.printf("redislimits: Redis answers again")
	}
	return true
}

// leaveReplica ends the connection to a Redis that has become a replica. The next one goes to
// whatever has its address now.
func (w *worker) leaveReplica(ctx context.Context, err error) {
	refused, ok := rueidis.IsRedisErr(err)
	if ok && strings.HasPrefix(refused.Error(), "READONLY") {
		w.client.Do(ctx, w.client.B().Quit().Build())
	}
}

// joinNew counts the sessions whose logins did not wait for that.
func (w *worker) joinNew() bool {
	for {
		p, joined := w.held.takeJoined(maxPage)
		if len(joined) == 0 {
			return true
		}
		if _, err := w.renew(p, joined); err != nil {
			return false // their page will be renewed, which counts them
		}
	}
}

// giveBack gives leases back. It keeps those that Redis did not take, until they have ended and do
// not matter any more.
func (w *worker) giveBack() bool {
	for {
		released := w.held.takeReleased(maxBatch)
		if len(released) == 0 {
			return true
		}
		ctx, cancel := context.WithTimeout(w.ctx, w.workTimeout())
		err := w.remove(ctx, released)
		cancel()
		if err != nil {
			w.held.keepReleased(released, time.Now().Add(-w.options.Lease))
			return false
		}
		w.held.left(released)
	}
}

func (w *worker) remove(ctx context.Context, released []*lease) error {
	var commands rueidis.Commands
	for _, in := range released {
		for _, set := range in.sets {
			commands = append(commands, w.client.B().Zrem().Key(set).Member(in.name).Build())
		}
		page := w.names.page(in.page.name)
		commands = append(commands, w.client.B().Hdel().Key(page).Field(in.name).Build())
	}
	for _, result := range w.client.DoMulti(ctx, commands...) {
		if err := result.Error(); err != nil && !isWrongType(err) {
			return w.failed(err)
		}
	}
	return nil
}

// renewNext renews the next page if it is due, and returns the time until the next renewal.
func (w *worker) renewNext() time.Duration {
	now := time.Now()
	if wait := w.paused.Sub(now); wait > 0 && w.hurry == 0 {
		return wait
	}
	p, all, wait := w.held.next(now, w.interval(), w.hurry > 0)
	if p == nil {
		w.hurry = 0
		return wait
	}
	added, err := w.renew(p, all)
	switch {
	case err != nil:
		return firstProbe
	case w.hurry > 0:
		w.hurry--
	case added > 0:
		w.hurry = w.held.countPages()
	}
	// Renewals are spread over half an interval. Otherwise, as logins often come together, so would
	// their renewals.
	w.paused = now.Add(w.interval() / time.Duration(2*max(w.held.countPages(), 1)))
	if w.hurry > 0 {
		return 0
	}
	return time.Until(w.paused)
}

// renew renews leases of a page, and returns how many entries were missing.
func (w *worker) renew(p *page, all []*lease) (added int64, err error) {
	if len(all) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(w.ctx, w.workTimeout())
	defer cancel()
	keys := []string{w.names.pages(), w.names.page(p.name)}
	args := []string{w.leaseLength(), w.entry(p)}
	for _, in := range all {
		for _, set := range in.sets {
			keys, args = append(keys, set), append(args, in.name)
		}
	}
	for _, in := range all {
		args = append(args, in.name, w.published(in))
	}
	added, err = renewScript.Exec(ctx, w.client, keys, args).AsInt64()
	if err != nil {
		return 0, w.failed(err)
	}
	return added, nil
}

// leave gives back all leases that are held.
func (w *worker) leave() {
	w.held.releaseAll()
	ctx, cancel := context.WithTimeout(context.Background(), workTimeout)
	defer cancel()
	for !w.down.Load() {
		released := w.held.takeReleased(maxBatch)
		if len(released) == 0 || w.remove(ctx, released) != nil {
			return
		}
	}
}
