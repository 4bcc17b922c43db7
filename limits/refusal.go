package limits

import (
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/imapgate/imapgate/internal/admission"
)

// A refusal says which limit was reached, and what it was then. The zero refusal is none.
type refusal struct {
	limit    *limit
	value    int64  // a time is in nanoseconds
	answered *limit // the limit whose answer the client reads; nil: limit
	timedOut bool   // it was refused because its time was up
}

// answers returns the limit by which the refusal is answered and counted.
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

// reached returns the refusal of a limit that does not depend on what others do.
func (c *client) reached(l *limit) refusal {
	return refusal{limit: l, value: c.limiter.settings.Load().value(l)}
}

// refuse counts and reports the refusal of what the event is about, and tells whether it is to be
// carried out: that of a limit is not under DryRun.
func (c *client) refuse(event Event, r refusal) bool {
	settings := c.limiter.settings.Load()
	event.Kind = r.kind()
	if r.limit.option != "" {
		event.Limit, event.Max = r.limit.option, r.limit.text(r.value)
	}
	event.DryRun = settings.DryRun && (r.limit.option != "" || r.limit == clusterUnavailable)
	if retry := r.answers().retry; retry != nil {
		event.RetryAfter = time.Duration(settings.value(retry))
	}
	c.limiter.counts.add(r.answers().count)
	c.report(event)
	return !event.DryRun
}

// A queue is a gate with the limits that a command finds there.
type queue struct {
	gate     admission.Gate
	command  string // "" if it serves several
	all, own *limit // of the whole server, and of one user or network
	silent   bool   // the client is not told that it waits
}

// timeout returns how long one waits in the queue now, 0 if there is no limit.
func (c *client) timeout(q *queue) time.Duration {
	if q.own.retry == nil {
		return loginWait
	}
	return time.Duration(c.reached(q.own.retry).value)
}

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

// loginRefusal returns what the engine says about a login as a refusal.
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
