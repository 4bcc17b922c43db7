package limits

import (
	"strconv"
	"time"

	"github.com/imapgate/imapgate/internal/admission"
)

// turn is what a command or a login holds in a queue. exit must be called to give it back.
type turn struct {
	admission.Ticket
	queue   *queue
	command string // set by the caller if the queue serves several commands
	user    string // the user in its events
	// shadow means that the command should wait but runs, because of DryRun. The ticket waits in its
	// place, to see whether there would have been a slot in time.
	shadow bool
	key    *admission.Key // released by exit; nil if the session holds the key of its turns itself
	latest time.Time      // when the wait is over whatever the queue's timeout; zero if it says
}

// enter waits for a slot of the queue for a command. After an error, which is the answer to the
// command, there is nothing to give back. Calling exit is then allowed, and necessary when a
// callback panics.
func (s *session) enter(t *turn, q *queue) error {
	if t.command == "" {
		t.command = q.command
	}
	t.user = s.user
	if s.turn == nil { // a wrapper around this session asks before anybody has logged in
		s.turn = s.holdTurn()
	}
	if err := s.take(t, q, s.turn); err != nil {
		return err
	}
	if waited := t.Waited(); waited > 0 && !t.shadow {
		s.report(Event{Kind: EventAdmitted, Command: t.command, User: t.user, Waited: waited})
	}
	return nil
}

// take is enter for any key, and reports no event for a wait that got a slot.
func (s *session) take(t *turn, q *queue, key *admission.Key) error {
	t.queue, t.Ticket = q, q.gate.EnterUntil(key, &s.client, t.latest)
	switch {
	case t.Waiting() && s.dryRun():
		t.shadow = true
		return nil
	case t.Waiting():
		s.await(t)
	}
	if !t.Refusal.Is() {
		return nil
	}
	event := Event{Command: t.command, User: t.user, Waited: t.Waited()}
	r := q.refusal(t.Refusal)
	if r.limit == maxGuessDelay {
		r.value = s.delayReached().value
	}
	if s.refuse(event, r) {
		return r.answer()
	}
	t.Ticket = q.gate.EnterAnyway(key)
	return nil
}

// await waits for the slot. If the client is gone when the slot is granted, it gives the slot back.
func (s *session) await(t *turn) {
	w := s.wait()
	defer s.endWait(w)
	if s.dryRun() { // switched on before SetOptions could see that this command waits
		t.shadow = true
		return
	}
	if !t.queue.silent {
		s.startWaitNotice(t.queue)
	}
	t.Wait(w.gone)
	if !t.Refusal.Is() && s.socket.HungUp() {
		t.Release()
		t.Refusal = admission.Refusal{Reason: admission.Gone}
	}
}

// exit gives back what the command holds. It does so before it reports anything, as OnEvent may
// panic.
func (s *session) exit(t *turn) {
	var overdue admission.Refusal
	if t.shadow {
		overdue = t.Overdue()
	}
	t.Release()
	t.key.Release()
	t.key = nil
	if overdue.Is() {
		event := Event{Command: t.command, User: t.user, Waited: s.timeout(t.queue)}
		s.refuse(event, t.queue.refusal(overdue))
	}
}

// holdTurn returns the key under which a session takes turns in the queues: its user's, its
// address's if the user is not known, or one of its own. The caller must release it.
func (s *session) holdTurn() *admission.Key {
	var name string
	switch {
	case s.user != "":
		name = "user " + s.user
	case s.ip.IsValid():
		name = "network " + s.ip.String()
	default:
		name = "connection " + strconv.FormatUint(s.limiter.anonymous.Add(1), 10)
	}
	return s.limiter.keys.Hold(name)
}
