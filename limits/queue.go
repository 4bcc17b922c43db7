package limits

import (
	"time"

	"github.com/imapgate/imapgate/internal/admission"
)

// A queue is a gate with the limits that hold at it.
type queue struct {
	gate     admission.Gate
	command  string // "" if it serves several commands
	all, own *limit // the limit of the whole server, and that of one user or network
	silent   bool   // no progress notices while the client waits
}

// loginWait is how long a login, or a step of a SASL exchange, waits for others, all together: for
// logins of the same user and address, for the turn of its network after wrong passwords, and for a
// check. After a delay of its own because of wrong passwords, of up to MaxGuessDelay, it has that
// much more time for its check.
const loginWait = 30 * time.Second

// refusal translates the gate's refusal.
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
	case admission.EqualRuns: // for the whole time that it could wait
		out.limit, out.value = q.own.retry, int64(r.Timeout)
	default:
		out.limit = q.own
	}
	return out
}
