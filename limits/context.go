package limits

import (
	"context"
	"time"

	"github.com/emersion/go-imap/v2"
)

// timeLimit is how long a command may run, and what it is told then.
type timeLimit struct {
	max     time.Duration // 0: no limit
	tooLong *imap.Error
}

// commandContext returns a context for a command, which ends with an *imap.Error for its cause:
// errClientGone when gone is true, or the client has hung up if that is nil; the limit's when that
// is reached; ErrClosed when the limiter is closed. The function must be called at the end.
func (s *session) commandContext(limit timeLimit, gone func() bool) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(s.limiter.open)
	cancelTimeout := context.CancelFunc(func() {})
	if limit.max > 0 && !s.dryRun() && !s.limits.Load().exempt {
		ctx, cancelTimeout = context.WithTimeoutCause(ctx, limit.max, limit.tooLong)
	}
	if gone == nil {
		gone = s.socket.hungUp
	}
	stopLooking := every(hangUpCheck, func() bool {
		if gone() {
			cancel(errClientGone)
			return false
		}
		return true
	})
	return ctx, func() {
		stopLooking()
		cancelTimeout()
		cancel(nil)
	}
}

// stopped returns why the context of a command that began at start ended before the command did,
// nil if it did not. Then the command's result may be incomplete, whatever the backend says.
func (s *session) stopped(
	ctx context.Context, command string, limit timeLimit, start time.Time,
) error {
	reason, ok := context.Cause(ctx).(*imap.Error)
	if !ok {
		if s.dryRun() && limit.max > 0 && time.Since(start) >= limit.max {
			s.refuses(Event{Command: command, User: s.user}, limit.tooLong)
		}
		return nil
	}
	s.tellRefusal(Event{Command: command, User: s.user}, reason)
	return reason
}
