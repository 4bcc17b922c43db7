package limits

import (
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// mailbox is the state of a mailbox in which a UID means the same message (RFC 9051 section
// 2.3.1.1).
type mailbox struct {
	name        string
	uidValidity uint32
}

// flightKey is what SEARCHes must have in common to get the same answer. The account is not the key
// that the user is counted by, which can stand for several accounts.
type flightKey struct {
	account account
	mailbox mailbox
	options imap.SearchOptions
	search  string
}

// account is whose mail a session reads: a name, to the letter, at one of the wrapped backends. The
// name is that of LOGIN, or the one that Options.Username gives; what a client claims in a SASL
// exchange proves too little.
type account struct {
	backend uint64
	name    string
}

// flights lets identical SEARCHes run once: of those with one key, at most one runs and one waits,
// and all who have come while it waited get its answer. One that runs is not joined, unless
// JoinRunning says so: what it finds may be older than what the client knows.
type flights struct {
	gate *gate

	mu     sync.Mutex
	keys   table[flightKey, flight]
	joined int // clients who wait for the answer to another one's SEARCH
}

type flight struct {
	running, waiting *group
}

// group is a SEARCH and those who want its answer. While it waits it has one place in the queue, or
// none while an identical one runs. Nobody leads: whoever of them is awake first when the slot is
// granted runs it, and one who leaves takes nothing along.
type group struct {
	members  []*session
	waiter   *waiter       // its place in the queue, nil while it has none
	placed   chan struct{} // closed when there is a waiter, or when there never will be; nil if there is one from the start
	running  bool
	finished bool          // there are data and err
	done     chan struct{} // closed then; nil while there is one member, who has nobody to wait for
	data     *imap.SearchData
	err      error
	// orphaned is set when it failed and the client of the session that ran it was gone.
	orphaned bool
}

// errSearchBroke is what those get who waited for a SEARCH that panicked.
var errSearchBroke = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodeServerBug,
	Text: "Internal server error",
}

// errDryRun makes a SEARCH that waits run at once, when that begins.
var errDryRun = &imap.Error{}

// sharedSearch runs a UID SEARCH, or waits for the answer to an identical one.
func (s *session) sharedSearch(
	key flightKey, criteria *imap.SearchCriteria, options *imap.SearchOptions, start time.Time,
) (*imap.SearchData, error) {
	f := &s.limiter.flights
	for {
		event := Event{Kind: EventAdmitted, Command: commandSearch, User: s.user}
		g, runs, refusal := f.join(key, s)
		if refusal == nil && !runs {
			var waited bool
			if runs, waited, refusal = f.await(key, g, s, start); waited {
				event.Waited = time.Since(start)
			}
		}
		if refusal == errDryRun {
			return s.searchAlone(imapserver.NumKindUID, criteria, options)
		}
		if refusal != nil {
			event.Kind = EventRefused
			s.tellRefusal(event, refusal)
			return nil, refusal
		}
		if runs {
			f.run(key, g, s, criteria, options)
		}
		if !runs {
			event.Kind = EventJoined
		}
		if event.Waited > 0 {
			s.tell(event)
		}
		switch {
		case g.orphaned && !s.socket.hungUp():
			continue // the client for whom it ran has hung up, which may be all that was wrong
		case g.err != nil:
			return nil, g.err
		}
		data := *g.data
		return &data, nil
	}
}

// join adds the session to the group that waits, to the one that runs if that is allowed, or to a
// new one, which it is to run if there is a slot at once. After a refusal it is in none.
func (f *flights) join(key flightKey, s *session) (g *group, runs bool, refusal *imap.Error) {
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
		g = &group{}
		if fl.running != nil {
			g.placed = make(chan struct{})
		} else if g.waiter, refusal = f.gate.join(&s.client, false); refusal != nil {
			return nil, false, refusal
		}
		if runs = g.waiter != nil && isClosed(g.waiter.ready); runs {
			g.running, fl.running = true, g
		} else {
			fl.waiting = g
		}
		f.keys.set(key, fl)
	}
	if len(g.members) > 0 {
		f.joined++
		if g.done == nil {
			g.done = make(chan struct{})
		}
	}
	g.members = append(g.members, s)
	return g, runs, nil
}

// await waits until the session is the one to run the group's SEARCH, or until that has been run.
// After a refusal it is in the group no more. Each has its own deadline, until the SEARCH begins.
func (f *flights) await(
	key flightKey, g *group, s *session, start time.Time,
) (runs, waited bool, refusal *imap.Error) {
	wait := wait{
		client:   &s.client,
		progress: newProgress(textWaiting, s.limiter.settings.Load().ProgressInterval, start),
	}
	defer wait.end()
	s.activity.wait(true)
	defer s.activity.wait(false)
	got := outcomeChanged
	for {
		deadline, changed, closed := f.gate.terms(start)
		f.mu.Lock()
		switch {
		case g.finished:
			f.mu.Unlock()
			return false, waited, nil
		case got == outcomeClientGone:
			refusal = errClientGone
		case closed:
			refusal = ErrClosed
		case g.running:
			f.mu.Unlock()
			wait.deadline, wait.progress.text = time.Time{}, textRunning
			got, waited = wait.next(g.done, changed), true
			continue
		case g.waiter != nil && isClosed(g.waiter.ready):
			g.running = true
			f.keys.set(key, flight{running: g})
			f.mu.Unlock()
			return true, waited, nil
		case got == outcomeTimedOut:
			refusal = f.gate.refusal
		case s.dryRun():
			refusal = errDryRun
		}
		if refusal != nil {
			f.leaveLocked(key, g, s)
			f.mu.Unlock()
			return false, waited, refusal
		}
		ready := g.placed
		if g.waiter != nil {
			ready = g.waiter.ready
		}
		f.mu.Unlock()
		wait.deadline = deadline
		got, waited = wait.next(ready, changed), true
	}
}

// run runs the SEARCH for the whole group.
func (f *flights) run(
	key flightKey, g *group, s *session, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) {
	defer f.finish(key, g)
	g.err = errSearchBroke // until it is known better
	data, err := s.runSearch(imapserver.NumKindUID, criteria, options, g)
	if data == nil && err == nil {
		return
	}
	g.data, g.err = data, err
	g.orphaned = err != nil && s.socket.hungUp()
}

// finish gives the answer out and the slot back, and puts the group that has waited meanwhile into
// the queue.
func (f *flights) finish(key flightKey, g *group) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g.finished = true
	if g.done != nil {
		close(g.done)
	}
	f.joined -= len(g.members) - 1
	f.gate.abandon(g.waiter)
	next := f.keys.get(key).waiting
	if next == nil {
		f.keys.delete(key)
		return
	}
	f.keys.set(key, flight{waiting: next})
	next.waiter, _ = f.gate.join(
		&next.members[0].client, true,
	) // refused only if closed, which they see for themselves
	close(next.placed)
}

// leaveLocked takes the session out of the group, and the group out of the queue if it was the last
// one: the one who runs it never leaves.
func (f *flights) leaveLocked(key flightKey, g *group, s *session) {
	g.members = slices.DeleteFunc(g.members, func(member *session) bool { return member == s })
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
	for _, s := range g.members {
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
