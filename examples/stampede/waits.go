package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// wait is how long the ordinary user waited for one answer.
type wait struct {
	start    time.Duration // since the scene began
	took     time.Duration
	answered bool // if false, the scene was over before the answer
}

// String returns the time with two or three digits.
func (w wait) String() string {
	ms := float64(w.took.Microseconds()) / 1000
	text := fmt.Sprintf("%.1f ms", ms)
	switch {
	case ms >= 9_995:
		text = fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 999.5:
		text = fmt.Sprintf("%.2f s", ms/1000)
	case ms >= 9.95:
		text = fmt.Sprintf("%.0f ms", ms)
	}
	if !w.answered {
		return "over " + text
	}
	return text
}

type waits []wait

// quantile returns the wait that the share q of all waits does not exceed (the nearest rank), or
// the zero wait if there are none. A wait without an answer counts as longer than all others.
func (all waits) quantile(q float64) wait {
	if len(all) == 0 {
		return wait{}
	}
	sorted := slices.SortedFunc(slices.Values(all), func(a, b wait) int {
		switch {
		case a.answered == b.answered:
			return cmp.Compare(a.took, b.took)
		case a.answered:
			return -1
		default:
			return 1
		}
	})
	rank := int(math.Ceil(q * float64(len(all))))
	return sorted[max(rank, 1)-1]
}

// answered returns how many waits got an answer.
func (all waits) answered() int {
	n := 0
	for _, w := range all {
		if w.answered {
			n++
		}
	}
	return n
}

// timed makes a request, and measures it, in a scene that began at begin.
func timed(begin time.Time, request func() error) (wait, error) {
	start := time.Now()
	if err := request(); err != nil {
		return wait{}, fmt.Errorf("the ordinary user: %w", err)
	}
	return wait{start.Sub(begin), time.Since(start), true}, nil
}

// visit makes the ordinary user send a request at each interval until the context is done, even if
// the last request is not answered. It waits for all requests, and returns the first error.
func visit(
	until context.Context, interval time.Duration, request func() (wait, error),
) (waits, error) {
	var mu sync.Mutex
	var seen waits
	var firstErr error
	var all sync.WaitGroup
	for next := time.Now(); until.Err() == nil; pause(until, time.Until(next)) {
		next = next.Add(interval)
		all.Go(func() {
			w, err := request()
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				seen = append(seen, w)
			}
			firstErr = cmp.Or(firstErr, err)
		})
	}
	all.Wait()
	slices.SortFunc(seen, func(a, b wait) int { return cmp.Compare(a.start, b.start) })
	return seen, firstErr
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// expiring returns a context that is done after d. It has no deadline, because with one a dial
// would fail a moment before the context is done.
func expiring(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(d, cancel)
	return ctx, func() {
		timer.Stop()
		cancel()
	}
}
