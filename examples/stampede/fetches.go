package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	fetchLoops    = 50
	fetchInterval = 100 * time.Millisecond
	// A FETCH of a heavy user reads this many messages, for 100 to 300 ms. One of the ordinary user
	// reads one message.
	minFetched, maxFetched = 20, 60
)

// playFetches has three users FETCH on 50 connections without a pause. The ordinary user FETCHes
// one message on one connection, every 100 ms, or later if the last FETCH is not answered.
func playFetches(ctx context.Context, s *stage) (result, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ordinary, err := loginAndSelect(ctx, s.dial, ordinaryUser)
	if err != nil {
		return result{}, err
	}
	defer ordinary.hangUp()
	loops := make([]*client, fetchLoops)
	for i := range loops {
		if loops[i], err = loginAndSelect(ctx, s.dial, heavyUsers[i%len(heavyUsers)]); err != nil {
			return result{}, err
		}
		defer loops[i].hangUp()
	}

	begin := time.Now()
	var answered atomic.Int64
	errs := make([]error, fetchLoops)
	var all sync.WaitGroup
	for i, c := range loops {
		all.Go(func() {
			for errs[i] == nil && ctx.Err() == nil {
				messages := minFetched + rand.IntN(maxFetched-minFetched+1)
				err := c.do(fmt.Sprintf("FETCH 1:%d (FLAGS RFC822.SIZE)", messages))
				switch {
				case err == nil:
					answered.Add(1)
				case ctx.Err() == nil:
					errs[i] = err
				}
			}
		})
	}
	pause(ctx, fetchInterval)
	var seen waits
	for err == nil && ctx.Err() == nil && (len(seen) == 0 || time.Since(begin) < s.length) {
		next := time.Now().Add(fetchInterval)
		var w wait
		fetch := func() error { return ordinary.do("FETCH 1 (FLAGS RFC822.SIZE)") }
		if w, err = timed(begin, fetch); err == nil {
			seen = append(seen, w)
		}
		pause(ctx, time.Until(next))
	}
	took := time.Since(begin)
	stop()
	all.Wait()
	_, most, _ := s.backend.fetches.counts()
	return result{seen, []fact{
		{"heavy users' FETCHes in the store at once, at most", strconv.Itoa(most)},
		{
			"heavy users' FETCHes answered, a second",
			fmt.Sprintf("%.0f", float64(answered.Load())/took.Seconds()),
		},
	}}, errors.Join(append(errs, err)...)
}
