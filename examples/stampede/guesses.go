package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const guessers = 250

// playGuesses has a stranger guess passwords on 250 connections. Each guess is for another user,
// and on a new connection. The ordinary user, who has logged in before, logs in every 100 ms, even
// if the last login is not answered.
func playGuesses(ctx context.Context, s *stage) (result, error) {
	until, stop := expiring(ctx, s.length)
	defer stop()
	first, err := login(ctx, s.dial, ordinaryUser)
	if err != nil {
		return result{}, err
	}
	first.hangUp()

	begin := time.Now()
	var guesses atomic.Int64
	errs := make([]error, guessers)
	var all sync.WaitGroup
	for i := range guessers {
		all.Go(func() {
			for until.Err() == nil && errs[i] == nil {
				err := guess(until, s.dial, int(guesses.Add(1)))
				if until.Err() == nil {
					errs[i] = err
				}
			}
		})
	}
	seen, err := visit(until, loginInterval, func() (wait, error) {
		return timed(begin, func() error {
			c, err := login(ctx, s.dial, ordinaryUser)
			if err == nil {
				c.hangUp()
			}
			return err
		})
	})
	took := time.Since(begin)
	all.Wait()
	_, most, checked := s.backend.checks.counts()
	return result{seen, []fact{
		{"guesses checked, a second", fmt.Sprintf("%.1f", float64(checked)/took.Seconds())},
		{"guesses checked at once, at most", strconv.Itoa(most)},
	}}, errors.Join(append(errs, err)...)
}

// guess connects and tries one password. A wrong or unchecked password is no error.
func guess(ctx context.Context, dial dialer, n int) error {
	c, err := connect(ctx, dial, true)
	if err == nil {
		err = c.do(fmt.Sprintf("LOGIN user%d guess%d", n, n))
		c.hangUp()
	}
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		return nil
	}
	return err
}
