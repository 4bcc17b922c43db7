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

const (
	searchers      = 20
	searchPatience = time.Second
	visitInterval  = 500 * time.Millisecond
)

const slowSearch = "UID SEARCH SUBJECT invoice"

// playSearches has one user send the same SEARCH on 20 connections, hang up after a second without
// an answer, and try again. The ordinary user SEARCHes a small mailbox every 500 ms, even if the
// last SEARCH is not answered. When the scene is over, those SEARCHes have as much time again for
// their answers.
func playSearches(ctx context.Context, s *stage) (result, error) {
	end, cancelEnd := expiring(ctx, 2*s.length)
	defer cancelEnd()
	until, cancel := expiring(end, s.length)
	defer cancel()

	begin := time.Now()
	var sent, refused atomic.Int64
	errs := make([]error, searchers)
	var all sync.WaitGroup
	for i := range searchers {
		all.Go(func() {
			pause(until, time.Duration(i)*searchPatience/searchers)
			for until.Err() == nil {
				next := time.Now().Add(searchPatience)
				err := searchOnce(until, s.dial, &sent)
				if answer := (*refusal)(nil); errors.As(err, &answer) {
					refused.Add(1)
				} else if err != nil && until.Err() == nil {
					errs[i] = err
					return
				}
				pause(until, time.Until(next))
			}
		})
	}
	seen, err := visit(
		until, visitInterval, func() (wait, error) { return searchOnVisit(end, begin, s.dial) },
	)
	all.Wait()
	_, most, run := s.backend.searches.counts()
	return result{seen, []fact{
		{"SEARCHes that the clients sent", strconv.FormatInt(sent.Load(), 10)},
		{"that reached the store", strconv.Itoa(run)},
		{"that were in the store at once, at most", strconv.Itoa(most)},
		{"refused, logins among them", strconv.FormatInt(refused.Load(), 10)},
	}}, errors.Join(append(errs, err)...)
}

// searchOnce connects, sends the SEARCH, and hangs up when it is answered or after a second. A
// second without an answer is no error.
func searchOnce(ctx context.Context, dial dialer, sent *atomic.Int64) error {
	patience, cancel := expiring(ctx, searchPatience)
	defer cancel()
	c, err := loginAndSelect(patience, dial, heavyUsers[0])
	if err == nil {
		sent.Add(1)
		err = c.do(slowSearch)
		c.hangUp()
	}
	if patience.Err() != nil {
		return nil
	}
	return err
}

// searchOnVisit connects and SEARCHes. If ctx is done before the answer, that is no error.
func searchOnVisit(ctx context.Context, begin time.Time, dial dialer) (w wait, err error) {
	start := time.Now()
	c, err := loginAndSelect(ctx, dial, ordinaryUser)
	if err == nil {
		defer c.hangUp()
		start = time.Now()
		err = c.do(slowSearch)
	}
	w = wait{start.Sub(begin), time.Since(start), err == nil}
	if err != nil && ctx.Err() == nil {
		return w, fmt.Errorf("the ordinary user: %w", err)
	}
	return w, nil
}
