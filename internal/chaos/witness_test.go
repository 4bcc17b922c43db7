package chaos_test

import (
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imapgate/imapgate/limits"
)

// witness counts for itself what is inside the limits, and says when that is too much or has waited
// too long. It has a session on both sides of theirs: what is inside begins when the inner one is
// called and ends before the inner one returns, so that it never sees more at once than the limiter
// has let in.
//
// Limits change meanwhile. Of all that is inside, one was the last to be let in, and at that moment
// all of them were inside. It was after the last of them had come, and so the number is no larger
// than the largest limit that may have been in force since then.
type witness struct {
	t      testing.TB
	margin time.Duration // that a wait may be longer than its timeout: zero in a bubble, where time is exact

	mu      sync.Mutex
	history []*limits.Options
	settled int // the oldest in history that may still be in force

	connections, checks, logins, fetches, searches, others, idles room

	asking     map[string]map[*arrival]struct{} // the SEARCHes on their way, by what they ask for
	longestRun time.Duration                    // of a SEARCH

	visits sync.Map // of *visit, by *imapserver.Conn
	gone   sync.Map // of *atomic.Bool by the client's address: set before the connection is closed on either side

	refused, waited, joined, timedOut atomic.Int64
}

// A room holds what runs at once.
type room struct {
	name   string
	bounds []bound
	stays  map[*stay]struct{}
	total  int
	most   int
}

// A bound is a limit for those who have something in common.
type bound struct {
	name  string
	of    func(*stay) string
	limit func(*limits.Options) int
}

// A stay is one in a room.
type stay struct {
	user, ip string
	since    int          // the oldest options that may have been in force when it was let in
	gone     *atomic.Bool // it does not count any more when that is set; nil if it always does
}

func everybody(*stay) string { return "" }
func byUser(s *stay) string  { return s.user }
func byIP(s *stay) string    { return s.ip }

func newWitness(t testing.TB, margin time.Duration, idlesPerUser int) *witness {
	type options = limits.Options
	w := &witness{t: t, margin: margin, asking: make(map[string]map[*arrival]struct{})}
	define := func(r *room, name string, bounds ...bound) { *r = room{name, bounds, make(map[*stay]struct{}), 0, 0} }
	define(&w.connections, "connections",
		bound{"MaxConnections", everybody, func(o *options) int { return o.MaxConnections }},
		bound{"MaxConnectionsPerIP", byIP, func(o *options) int { return o.MaxConnectionsPerIP }})
	define(&w.checks, "password checks",
		bound{"MaxLoginChecks", everybody, func(o *options) int { return o.MaxLoginChecks }},
		bound{"MaxLoginChecksPerIP", byIP, func(o *options) int { return o.MaxLoginChecksPerIP }})
	define(&w.logins, "logins",
		bound{"MaxLoginsPerUser", byUser, func(o *options) int { return o.MaxLoginsPerUser }},
		bound{"MaxLoginsPerIP", byIP, func(o *options) int { return o.MaxLoginsPerIP }})
	define(&w.fetches, "FETCHes",
		bound{"MaxFetches", everybody, func(o *options) int { return o.MaxFetches }},
		bound{"MaxFetchesPerUser", byUser, func(o *options) int { return o.MaxFetchesPerUser }})
	define(&w.searches, "SEARCHes",
		bound{"MaxSearches", everybody, func(o *options) int { return o.MaxSearches }},
		bound{"MaxSearchesPerUser", byUser, func(o *options) int { return o.MaxSearchesPerUser }})
	define(&w.others, "other commands",
		bound{"MaxCommands", everybody, func(o *options) int { return o.MaxCommands }},
		bound{"MaxCommandsPerUser", byUser, func(o *options) int { return o.MaxCommandsPerUser }})
	define(&w.idles, "IDLEs",
		bound{"MaxPerUser", byUser, func(*options) int { return idlesPerUser }})
	return w
}

// change calls set with new options, which are in force from some moment within the call.
func (w *witness) change(options *limits.Options, set func(*limits.Options) error) {
	w.mu.Lock()
	w.history = append(w.history, options)
	w.mu.Unlock()
	if err := set(options); err != nil {
		w.t.Errorf("set options: %v", err)
	}
	w.mu.Lock()
	w.settled = len(w.history) - 1
	w.mu.Unlock()
}

// enter notes that something is in the room, until leave is called, and checks the room's bounds.
func (w *witness) enter(r *room, s *stay) (leave func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.stays[s] = struct{}{}
	r.total++
	r.most = max(r.most, len(r.stays))
	for _, b := range r.bounds {
		inside, since := 0, 0
		for other := range r.stays {
			if b.of(other) == b.of(s) && (other.gone == nil || !other.gone.Load()) {
				inside, since = inside+1, max(since, other.since)
			}
		}
		if allowed := w.largestLocked(since, b.limit); inside > allowed {
			w.t.Errorf(
				"%d %s at once of %q, but %s was never more than %d", inside, r.name, b.of(s), b.name, allowed,
			)
		}
	}
	return sync.OnceFunc(func() {
		w.mu.Lock()
		delete(r.stays, s)
		w.mu.Unlock()
	})
}

func (w *witness) largestLocked(since int, limit func(*limits.Options) int) int {
	largest := 0
	for _, options := range w.history[since:] {
		n := limit(options)
		if n == 0 {
			return math.MaxInt
		}
		largest = max(largest, n)
	}
	return largest
}

// arrival is a command that has come and is not inside yet.
type arrival struct {
	since   int // the oldest options that may have been in force then
	granted int // … when its slot was granted
	start   time.Time
	timeout func(*limits.Options) time.Duration
	inside  bool
}

// arrive notes that a command has come.
func (w *witness) arrive(timeout func(*limits.Options) time.Duration) *arrival {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &arrival{since: w.settled, granted: w.settled, start: time.Now(), timeout: timeout}
}

// ask is arrive for a SEARCH. Equal ones can share a slot, and it may have been granted before the
// one came that uses it, but not before the first of them.
func (w *witness) ask(
	question string, timeout func(*limits.Options) time.Duration,
) (a *arrival, answered func()) {
	a = w.arrive(timeout)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asking[question] == nil {
		w.asking[question] = make(map[*arrival]struct{})
	}
	for other := range w.asking[question] {
		a.granted = min(a.granted, other.granted)
	}
	w.asking[question][a] = struct{}{}
	return a, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.asking[question], a); len(w.asking[question]) == 0 {
			delete(w.asking, question)
		}
	}
}

// endWait checks how long a command has waited, for its turn or in vain. Its timeout is the longest
// that may have been in force since it came, to which extra is added.
func (w *witness) endWait(a *arrival, what string, extra time.Duration) {
	waited := time.Since(a.start)
	w.mu.Lock()
	defer w.mu.Unlock()
	allowed := w.largestLocked(a.since, func(o *limits.Options) int { return int(a.timeout(o)) })
	if allowed == math.MaxInt {
		return
	}
	if longest := time.Duration(allowed) + extra + w.margin; waited > longest {
		w.t.Errorf("%s waited %v, but its timeout was never more than %v", what, waited, longest)
	}
}

// refuse checks that a command that was refused has waited for its timeout, if the queue cannot
// have been full.
func (w *witness) refuse(a *arrival, what string) {
	waited := time.Since(a.start)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, options := range w.history[a.since:] {
		timeout := a.timeout(options)
		if options.MaxWaiting > 0 || options.MaxWaitingPerUser > 0 || timeout > 0 && waited >= timeout {
			return
		}
	}
	w.t.Errorf("%s was refused after %v, before its timeout", what, waited)
}

// searched notes how long a SEARCH has run.
func (w *witness) searched(run time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.longestRun = max(w.longestRun, run)
}

func (w *witness) longestSearch() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.longestRun
}

// flag returns what is set when the client of that address is gone.
func (w *witness) flag(address string) *atomic.Bool {
	flag, ok := w.gone.Load(address)
	if !ok {
		return nil
	}
	return flag.(*atomic.Bool)
}

// leaving is to be called before a connection is closed, or half closed, on either side.
func (w *witness) leaving(address string) {
	if flag := w.flag(address); flag != nil {
		flag.Store(true)
	}
}

// idling is enter for an IDLE of the backend.
func (w *witness) idling(user string) (leave func()) {
	return w.enter(&w.idles, &stay{user: strings.ToLower(user)})
}

func (w *witness) onEvent(e limits.Event) {
	switch e.Kind {
	case limits.EventAdmitted:
		w.waited.Add(1)
	case limits.EventJoined:
		w.joined.Add(1)
	case limits.EventTimedOut:
		w.timedOut.Add(1)
	default:
		w.refused.Add(1)
	}
}

func (w *witness) idlesOf(user string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	idles := 0
	for s := range w.idles.stays {
		if s.user == user {
			idles++
		}
	}
	return idles
}
