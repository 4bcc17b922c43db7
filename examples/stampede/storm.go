package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

const (
	stormLogins   = 200
	stormInterval = time.Second // from one storm to the next, or longer if answers are missing
	loginInterval = 100 * time.Millisecond
)

// playStorm has one user log in 200 times at once, and again when all are answered and a second is
// over. The ordinary user logs in every 100 ms, even if the last login is not answered. There is at
// least one storm, and no storm is cut short.
func playStorm(ctx context.Context, s *stage) (result, error) {
	until, stop := context.WithCancel(ctx)
	defer stop()
	begin := time.Now()
	var storms waits
	var mostChecks, mostIn int
	var stormErr error
	var all sync.WaitGroup
	all.Go(func() {
		defer stop()
		for len(storms) == 0 || time.Since(begin) < s.length && ctx.Err() == nil {
			start := time.Now()
			_, _, before := s.backend.checks.counts()
			took, in, err := storm(ctx, s.dial)
			if stormErr = err; err != nil {
				return
			}
			storms = append(storms, wait{took: took, answered: true})
			_, _, checks := s.backend.checks.counts()
			mostChecks, mostIn = max(mostChecks, checks-before), max(mostIn, in)
			pause(ctx, time.Until(start.Add(stormInterval)))
		}
	})
	seen, err := visit(until, loginInterval, func() (wait, error) {
		return timed(begin, func() error {
			c, err := login(ctx, s.dial, ordinaryUser)
			if err == nil {
				c.hangUp()
			}
			return err
		})
	})
	stop()
	all.Wait()
	return result{seen, []fact{
		{fmt.Sprintf("all %d answered after, median", stormLogins), storms.quantile(0.5).String()},
		{"password checks for them, at most", strconv.Itoa(mostChecks)},
		{"logged in, the others refused", strconv.Itoa(mostIn)},
	}}, errors.Join(err, stormErr)
}

// storm logs in on 200 connections at once. It returns how long it took until all were answered,
// and how many were let in. Then all log out.
func storm(ctx context.Context, dial dialer) (took time.Duration, in int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	start := time.Now()
	var logins, logouts sync.WaitGroup
	clients := make([]*client, stormLogins)
	for i := range clients {
		logins.Go(func() {
			c, err := login(ctx, dial, heavyUsers[0])
			if refused := (*refusal)(nil); err != nil && !errors.As(err, &refused) {
				cancel(err) // if sockets run out, the other logins would wait for ever
			}
			clients[i] = c
		})
	}
	logins.Wait()
	took = time.Since(start)
	for _, c := range clients {
		if c != nil {
			in++
			logouts.Go(c.logout)
		}
	}
	logouts.Wait()
	return took, in, context.Cause(ctx)
}
