package limits

import (
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// mailbox is the state of a mailbox in which a UID means the same message (RFC 9051 section 2.3.1.1).
type mailbox struct {
	name        string
	uidValidity uint32
}

// flightKey is what SEARCHes must have in common to get the same answer.
type flightKey struct {
	user    string
	mailbox mailbox
	search  string
}

// flights lets identical SEARCHes run once: of those with one key, at most one runs and one waits, and all who have come while it waited get
// its answer. One that runs is not joined, unless JoinRunning says so: what it finds may be older than what the client knows.
type flights struct {
	gate *gate

	mu     sync.Mutex
	keys   table[flightKey, flight]
	joined int // clients who wait for the answer to another one's SEARCH
}

type flight struct {
	running, waiting *group
}

// group is a SEARCH and those who want its answer. While it waits it has one place in the queue, or none while an identical one runs.
// Nobody leads: whoever of them is awake first when the slot is granted runs it, and one who leaves takes nothing along.
type group struct {
	members map[*session]struct{}
	waiter  *waiter       // its place in the queue, nil while it has none
	placed  chan struct{} // closed when there is a waiter, or when there never will be
	running bool
	done    chan struct{} // closed when there are data and err
	data    *imap.SearchData
	err     error
}

// errSearchBroke is what those get who waited for a SEARCH that panicked.
var errSearchBroke = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodeServerBug,
	Text: "Internal server error",
}

// sharedSearch runs a UID SEARCH, or waits for the answer to an identical one.
func (s *session) sharedSearch(key flightKey, criteria *imap.SearchCriteria, options *imap.SearchOptions) (*imap.SearchData, error) {
	start := time.Now()
	f := &s.limiter.flights
	for {
		g, refusal := f.join(key, s)
		runs := false
		if refusal == nil {
			runs, refusal = f.await(key, g, s, start)
		}
		event := Event{Kind: Admitted, Command: commandSearch, User: s.user, Waited: time.Since(start)}
		if refusal != nil {
			event.Kind = Refused
			s.tellRefusal(event, refusal)
			return nil, refusal
		}
		if runs {
			f.run(key, g, s, criteria, options)
		}
		if !runs {
			event.Kind = Joined
		}
		if event.Waited > 0 {
			s.tell(event)
		}
		switch {
		case g.err == errClientGone && !s.socket.hungUp():
			continue // it was stopped for those who have hung up, just when this client came
		case g.err != nil:
			return nil, g.err
		}
		data := *g.data
		return &data, nil
	}
}

// join adds the session to the group that waits, to the one that runs if that is allowed, or to a new one. After a refusal it is in none.
func (f *flights) join(key flightKey, s *session) (g *group, refusal *imap.Error) {
	joinRunning := s.limiter.settings.Load().JoinRunning
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.keys.get(key)
	switch {
	case fl.running != nil && joinRunning:
		g = fl.running
	case fl.waiting != nil:
		g = fl.waiting
	default:
		g = &group{members: make(map[*session]struct{}), placed: make(chan struct{}), done: make(chan struct{})}
		if fl.running == nil {
			if g.waiter, refusal = f.gate.join(&s.client, false); refusal != nil {
				return nil, refusal
			}
			close(g.placed)
		}
		fl.waiting = g
		f.keys.set(key, fl)
	}
	if len(g.members) > 0 {
		f.joined++
	}
	g.members[s] = struct{}{}
	return g, nil
}

// await waits until the session is the one to run the group's SEARCH, or until that has been run. After a refusal it is in the group no
// more. Each has its own deadline, until the SEARCH begins.
func (f *flights) await(key flightKey, g *group, s *session, start time.Time) (runs bool, refusal *imap.Error) {
	wait := wait{client: &s.client, progress: newProgress(textWaiting, s.limiter.settings.Load().ProgressInterval, start)}
	defer wait.end()
	s.activity.wait(true)
	defer s.activity.wait(false)
	got := outcomeChanged
	for {
		deadline, changed, closed := f.gate.terms(start)
		f.mu.Lock()
		switch {
		case isClosed(g.done):
			f.mu.Unlock()
			return false, nil
		case got == outcomeClientGone:
			refusal = errClientGone
		case g.running:
			f.mu.Unlock()
			wait.deadline, wait.progress.text = time.Time{}, textRunning
			got = wait.next(g.done, nil)
			continue
		case g.waiter != nil && isClosed(g.waiter.ready):
			g.running = true
			f.keys.set(key, flight{running: g})
			f.mu.Unlock()
			return true, nil
		case closed:
			refusal = ErrClosed
		case got == outcomeTimedOut:
			refusal = f.gate.refusal
		}
		if refusal != nil {
			f.leaveLocked(key, g, s)
			f.mu.Unlock()
			return false, refusal
		}
		ready := g.placed
		if g.waiter != nil {
			ready = g.waiter.ready
		}
		f.mu.Unlock()
		wait.deadline = deadline
		got = wait.next(ready, changed)
	}
}

// run runs the SEARCH for the whole group.
func (f *flights) run(key flightKey, g *group, s *session, criteria *imap.SearchCriteria, options *imap.SearchOptions) {
	defer f.finish(key, g)
	g.err = errSearchBroke // until it is known better
	data, err := s.runSearch(imapserver.NumKindUID, criteria, options, func() bool { return f.everybodyGone(g) })
	if data == nil && err == nil {
		return
	}
	g.data, g.err = data, err
}

// finish gives the answer out and the slot back, and puts the group that has waited meanwhile into the queue.
func (f *flights) finish(key flightKey, g *group) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(g.done)
	f.joined -= len(g.members) - 1
	f.gate.abandon(g.waiter)
	next := f.keys.get(key).waiting
	if next == nil {
		f.keys.delete(key)
		return
	}
	f.keys.set(key, flight{waiting: next})
	for s := range next.members {
		next.waiter, _ = f.gate.join(&s.client, true) // refused only if closed, which they see for themselves
		break
	}
	close(next.placed)
}

// leaveLocked takes the session out of the group, and the group out of the queue if it was the last one: the one who runs it never leaves.
func (f *flights) leaveLocked(key flightKey, g *group, s *session) {
	delete(g.members, s)
	if len(g.members) > 0 {
		f.joined--
		return
	}
	if g.waiter != nil {
		f.gate.abandon(g.waiter)
	}
	fl := f.keys.get(key)
	fl.waiting = nil
	if fl.running == nil {
		f.keys.delete(key)
	} else {
		f.keys.set(key, fl)
	}
}

// everybodyGone tells whether all who want the answer have hung up.
func (f *flights) everybodyGone(g *group) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range g.members {
		if !s.socket.hungUp() {
			return false
		}
	}
	return true
}

func (f *flights) joinedCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.joined
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
