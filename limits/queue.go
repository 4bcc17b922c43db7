package limits

import (
	"time"

	"github.com/imapgate/imapgate/internal/admission"
)

// A queue is a gate with the limits that a command finds there.
type queue struct {
	gate     admission.Gate
	command  string // "" if it serves several
	all, own *limit // of the whole server, and of one user or network
	silent   bool   // the client is not told that it waits
}

// loginWait is how long a login waits for the outcome of others of the same user and address.
const loginWait = 30 * time.Second

// refusal returns what the gate says as a refusal.
func (q *queue) refusal(r admission.Refusal) refusal {
	out := refusal{value: int64(r.Limit), answered: q.own, timedOut: r.TimedOut}
	switch r.Reason {
	case admission.Closed:
		return refusal{limit: limiterClosed}
	case admission.Gone:
		return refusal{limit: clientGone}
	case admission.KeyQueue:
		out.limit = maxWaitingPerUser
	case admission.AllQueue:
		out.limit = maxWaiting
	case admission.AllFull:
		out.limit = q.all
	case admission.EqualRuns: // for as long as it could wait
		out.limit, out.value = q.own.retry, int64(r.Timeout)
	default:
		out.limit = q.own
	}
	return out
}
