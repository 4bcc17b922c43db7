package limits

import (
	"context"
	"errors"
	"time"
)

// run is a command that runs in a backend that accepts a context.
type run struct {
	ctx     context.Context
	session *session
	command string
	limit   *limit // the limit on how long it may run
	start   time.Time
	cancel  context.CancelCauseFunc
	stop    context.CancelFunc
}

// startRun returns a run whose context ends when clientGone is called, when the limit is reached,
// or when the limiter is closed. The caller must call close.
func (s *session) startRun(command string, limit *limit) *run {
	r := &run{session: s, command: command, limit: limit, start: time.Now(), stop: func() {}}
	r.ctx, r.cancel = context.WithCancelCause(s.limiter.open)
	reached := s.reached(limit)
	if reached.value > 0 && !s.dryRun() && !s.limits.Load().exempt {
		r.ctx, r.stop = context.WithTimeoutCause(
			r.ctx, time.Duration(reached.value), &stopReason{reached},
		)
	}
	return r
}

func (r *run) clientGone() { r.cancel(&stopReason{refusal{limit: clientGone}}) }

func (r *run) close() {
	r.stop()
	r.cancel(nil)
}

// stopped returns the answer for the client if the context ended before the command, otherwise nil.
// If it ended, the result may be incomplete, whatever the backend says.
func (r *run) stopped() error {
	s, event := r.session, Event{Command: r.command, User: r.session.user}
	var why *stopReason
	if errors.As(context.Cause(r.ctx), &why) {
		s.refuse(event, why.refusal)
		return why.refusal.answer()
	}
	reached := s.reached(r.limit)
	if s.dryRun() && reached.value > 0 && time.Since(r.start) >= time.Duration(reached.value) {
		s.refuse(event, reached)
	}
	return nil
}
