package limits

import (
	"strconv"
	"time"

	"github.com/imapgate/imapgate/internal/admission"
)

// turn is what a command holds in a queue. It must be left.
type turn struct {
	admission.Ticket
	queue   *queue
	command string // set before, for a queue that serves several
	// shadow says that the command runs under DryRun although it should wait: the ticket waits in its
	// place, to see whether there would have been a slot in time.
	shadow bool
}

// enter takes a slot of the queue for a command, and waits for it. After an error, which is the
// answer to the command, there is nothing to leave; but leave may be called, and must be when a
// callback panics.
func (s *session) enter(t *turn, q *queue) error {
	if t.command == "" {
		t.command = q.command
	}
	t.queue, t.Ticket = q, q.gate.Enter(s.turn, &s.client)
	switch {
	case t.Waiting() && s.dryRun():
		t.shadow = true
		return nil
	case t.Waiting():
		s.await(t)
	}
	event := Event{Kind: EventAdmitted, Command: t.command, User: s.user, Waited: t.Waited()}
	if !t.Refusal.Is() {
		if event.Waited > 0 {
			s.tell(event)
		}
		return nil
	}
	if r := q.refusal(t.Refusal); s.refuse(event, r) {
		return r.answer()
	}
	t.Ticket = q.gate.EnterAnyway(s.turn)
	return nil
}

// await waits for the slot. A client that is gone when it is granted does not get it.
func (s *session) await(t *turn) {
	w := s.waitInQueue(t.queue)
	defer s.endWait(w)
	t.Wait(w.gone)
	if !t.Refusal.Is() && s.socket.HungUp() {
		t.Release()
		t.Refusal = admission.Refusal{Reason: admission.Gone}
	}
}

// leave gives back what the command holds.
func (s *session) leave(t *turn) {
	if t.shadow {
		if r := t.Overdue(); r.Is() {
			timeout := time.Duration(s.reached(t.queue.own.retry).value)
			event := Event{Command: t.command, User: s.user, Waited: timeout}
			s.refuse(event, t.queue.refusal(r))
		}
	}
	t.Release()
}

// turnKey returns whose turn a session takes in the queues: its user's, or its address's if the user
// is not known, or its own.
func (s *session) turnKey() string {
	switch {
	case s.user != "":
		return "user " + s.user
	case s.ip.IsValid():
		return "network " + s.ip.String()
	default:
		return "connection " + strconv.FormatUint(s.limiter.anonymous.Add(1), 10)
	}
}
