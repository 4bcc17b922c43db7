package limits

import (
	"sync"
	"time"
)

// hangUpCheck is how often a waiting command looks whether its client is still there.
const hangUpCheck = 500 * time.Millisecond

type outcome int

const (
	outcomeReady outcome = iota
	outcomeChanged
	outcomeTimedOut
	outcomeClientGone
)

// wait is a client that waits.
type wait struct {
	client   *client
	deadline time.Time // never if zero
	progress progress  // what it is told meanwhile
	timer    *time.Timer
}

// next waits until ready or changed is closed, until the deadline, or until the client has hung up.
// It may be called again.
func (w *wait) next(ready, changed <-chan struct{}) outcome {
	for {
		if w.client.socket.hungUp() {
			return outcomeClientGone
		}
		now := time.Now()
		if !w.deadline.IsZero() && !now.Before(w.deadline) {
			return outcomeTimedOut
		}
		if !w.progress.tell(w.client, now) {
			return outcomeClientGone
		}
		select {
		case <-ready:
			if w.client.socket.hungUp() {
				return outcomeClientGone
			}
			return outcomeReady
		case <-changed:
			return outcomeChanged
		case <-w.tick(now):
		}
	}
}

// end stops the timer.
func (w *wait) end() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// tick returns a channel on which something arrives when it is time to look again, nil if that is
// never.
func (w *wait) tick(now time.Time) <-chan time.Time {
	pause := time.Duration(-1)
	sooner := func(d time.Duration) {
		if pause < 0 || d < pause {
			pause = d
		}
	}
	if w.client.socket.canTell() {
		sooner(hangUpCheck)
	}
	if !w.deadline.IsZero() {
		sooner(w.deadline.Sub(now))
	}
	if !w.progress.due.IsZero() {
		sooner(w.progress.due.Sub(now))
	}
	switch {
	case pause < 0:
		return nil
	case w.timer == nil:
		w.timer = time.NewTimer(pause)
	default:
		w.timer.Reset(pause)
	}
	return w.timer.C
}

// every calls f at each interval until it returns false, or stop is called, which waits for a call
// that is going on.
func every(interval time.Duration, f func() bool) (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	stopped := false
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(interval, func() {
		mu.Lock()
		defer mu.Unlock()
		if !stopped && f() {
			timer.Reset(interval)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}
