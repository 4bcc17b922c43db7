package limits

import (
	"context"
	"time"

	"github.com/emersion/go-imap/v2"
)

// commandContext returns a context for a command, which ends with an *imap.Error for its cause: errClientGone when gone is true, or the client has hung up
// if that is nil, tooLong after max if that is not zero, ErrClosed when the limiter is closed. The function must be called at the end.
func (s *session) commandContext(max time.Duration, tooLong *imap.Error, gone func() bool) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(s.limiter.open)
	cancelTimeout := context.CancelFunc(func() {})
	if max > 0 {
		ctx, cancelTimeout = context.WithTimeoutCause(ctx, max, tooLong)
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

// stopped returns why the context of a command ended before the command did, nil if it did not. Then the command's result may be
// incomplete, whatever the backend says.
func (s *session) stopped(ctx context.Context, command string) error {
	reason, ok := context.Cause(ctx).(*imap.Error)
	if !ok {
		return nil
	}
	s.tellRefusal(Event{Command: command, User: s.user}, reason)
	return reason
}
