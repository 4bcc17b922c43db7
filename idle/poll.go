package idle

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
)

// pollUntil polls until stop is closed, the session is closed, a poll fails, or enough returns true
// after a poll.
func (s *session) pollUntil(
	w *imapserver.UpdateWriter, stop <-chan struct{}, interval time.Duration, enough func() bool,
) error {
	timer := time.NewTimer(rand.N(interval))
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-s.closing:
			return nil
		case <-timer.C:
		}
		select {
		case <-stop: // at the same moment
			return nil
		default:
		}
		if err := s.pollOnce(w, stop); err != nil || enough() {
			return err
		}
		timer.Reset(interval - rand.N(interval/10))
	}
}

// pollOnce polls once, when it is this session's turn, unless stop is closed before.
func (s *session) pollOnce(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	if !s.lockUntil(stop) {
		return nil
	}
	defer s.mu.Unlock()
	if s.polls == nil {
		return s.pollOrBye(w, func() {})
	}
	if !s.takeTurn(stop) {
		return nil
	}
	return s.pollOrBye(w, sync.OnceFunc(func() { s.polls.Release(1) }))
}

// pollOrBye ends the connection when the backend cannot tell what is new, because the client would
// take silence for no news. It calls release before anything is written to the client, who may be
// slow to read while others wait for their turn.
func (s *session) pollOrBye(w *imapserver.UpdateWriter, release func()) (err error) {
	polled := false // not if it panics: go-imap catches that and leaves the client in IDLE
	defer func() {
		release()
		if !polled || err != nil {
			s.bye("Cannot look for updates")
		}
	}()
	if s.polls == nil {
		err = s.pollLocked(w, true)
	} else {
		err = s.pollThenWrite(w, release)
	}
	polled = true
	return err
}

// takeTurn waits for one of MaxPolls. It returns false if the IDLE is over before there is one. It
// is called under mu, so that nobody holds a turn while waiting for a command of the session.
func (s *session) takeTurn(stop <-chan struct{}) bool {
	if s.polls.TryAcquire(1) {
		return true
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-stop:
		case <-s.closing:
		case <-ctx.Done():
		}
	}()
	return s.polls.Acquire(ctx, 1) == nil
}
