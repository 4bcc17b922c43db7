package limits

import (
	"github.com/emersion/go-imap/v2"

	"github.com/imapgate/imapgate/internal/admission"
)

// A refusal says which limit was reached, and the limit's value then. The zero refusal means none.
type refusal struct {
	limit    *limit
	value    int64  // a time is in nanoseconds
	answered *limit // the limit whose answer the client reads; nil means limit
	timedOut bool   // the refusal came because the time was up
}

// answers returns the limit that has the answer and the counter of the refusal.
func (r refusal) answers() *limit {
	if r.answered != nil {
		return r.answered
	}
	return r.limit
}

// answer returns what the client reads.
func (r refusal) answer() *imap.Error { return r.answers().answer }

// kind returns the kind of its event.
func (r refusal) kind() EventKind {
	if r.timedOut {
		return EventTimedOut
	}
	return r.limit.kind
}

// loginRefusal translates the engine's refusal of a login.
func loginRefusal(r admission.Refusal) refusal {
	out := refusal{value: int64(r.Limit), timedOut: r.TimedOut}
	switch r.Reason {
	case admission.Closed:
		return refusal{limit: limiterClosed}
	case admission.Gone:
		return refusal{limit: clientGone}
	case admission.NetworkFull:
		out.limit = maxLoginsPerIP
	case admission.EqualRuns:
		return refusal{limit: equalLogins, answered: maxLoginsPerIP, timedOut: true}
	default:
		out.limit = maxLoginsPerUser
	}
	return out
}

// stopReason is the cause with which a command's context ends. It wraps what the client reads.
type stopReason struct{ refusal refusal }

func (r *stopReason) Error() string { return r.refusal.answer().Error() }

func (r *stopReason) Unwrap() error { return r.refusal.answer() }
