package chaos_test

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imapgate/imapgate/limits"
)

// witness counts for itself what is inside the limits, and reports when there is too much inside,
// or when something waits too long. It has a session on both sides of the limits. An entry begins
// when the inner session is called, and ends before the inner session returns. So the witness never
// counts more than the limiter has let in.
//
// The limits change meanwhile. One of those inside was let in last, and at that moment all of them
// were inside. That moment is after the last of them came. So their number must not exceed the
// largest limit that may have been in force since then.
//
// A client that may have been exempt counts only for those that came when it was inside already. A
// session that was evicted does not count, although it stays inside until it is closed.
type witness struct {
	t testing.TB
	// how much longer than its timeout a wait may be: 0 in a bubble, where time is exact
	margin time.Duration

	mu        sync.Mutex
	history   []*limits.Options
	settledAt []time.Time // from when on each of them is surely in force
	settled   int         // the oldest in history that may still be in force
	steps     uint64      // numbers every arrival and every entry

	connections, checks, logins, fetches, searches, others, idles room

	evictIdle time.Duration      // the shortest EvictIdle
	evictions []*eviction        // of sessions that may still be open
	coming    map[*stay]struct{} // logins that the limiter may have let in already

	asking     map[string]map[*arrival]struct{} // running and waiting SEARCHes, by what they ask for
	longestRun time.Duration                    // of a SEARCH

	visits sync.Map // of *visit, by *imapserver.Conn
	// holds *atomic.Bool by the client's address; set before either side closes the connection
	gone sync.Map

	refused, waited, joined, timedOut, evicted atomic.Int64
}

// A room holds what is inside one kind of limit at the same time.
type room struct {
	name   string
	bounds []bound
	stays  map[*stay]struct{}
	total  int
	most   int
}

// A bound is a limit for all stays with the same key.
type bound struct {
	name  string
	of    func(*stay) string
	all   func(*limits.Options) int     // the limit; nil if it depends on the client
	limit func(limits.ClientLimits) int // the limit for a client
}

// A stay is one entry in a room.
type stay struct {
	user, ip string
	*arrival
	exempt bool         // it may have been let in regardless of the limits
	step   uint64       // the number of the moment when it entered
	gone   *atomic.Bool // when it is set, the stay no longer counts; nil if it always counts
}

// An eviction ended one of its candidates, but its event does not say which.
type eviction struct{ candidates map[*stay]struct{} }

func everybody(*stay) string { return "" }
func byUser(s *stay) string  { return s.user }
func byIP(s *stay) string    { return s.ip }

func newWitness(
	t testing.TB, margin time.Duration, idlesPerUser int, evictIdle time.Duration,
) *witness {
	type options = limits.Options
	type own = limits.ClientLimits
	w := &witness{
		t: t, margin: margin, evictIdle: evictIdle, asking: make(map[string]map[*arrival]struct{}),
		coming: make(map[*stay]struct{}),
	}
	define := func(r *room, name string, bounds ...bound) {
		*r = room{name: name, bounds: bounds, stays: make(map[*stay]struct{})}
	}
	all := func(name string, limit func(*options) int) bound {
		return bound{name: name, of: everybody, all: limit}
	}
	each := func(name string, of func(*stay) string, limit func(own) int) bound {
		return bound{name: name, of: of, limit: limit}
	}
	define(&w.connections, "connections",
		all("MaxConnections", func(o *options) int { return o.MaxConnections }),
		each("MaxConnectionsPerIP", byIP, func(o own) int { return o.MaxConnectionsPerIP }))
	define(&w.checks, "password checks",
		all("MaxLoginChecks", func(o *options) int { return o.MaxLoginChecks }),
		each("MaxLoginChecksPerIP", byIP, func(o own) int { return o.MaxLoginChecksPerIP }))
	define(&w.logins, "logins",
		each("MaxLoginsPerUser", byUser, func(o own) int { return o.MaxLoginsPerUser }),
		each("MaxLoginsPerIP", byIP, func(o own) int { return o.MaxLoginsPerIP }))
	define(&w.fetches, "FETCHes",
		all("MaxFetches", func(o *options) int { return o.MaxFetches }),
		each("MaxFetchesPerUser", byUser, func(o own) int { return o.MaxFetchesPerUser }))
	define(&w.searches, "SEARCHes",
		all("MaxSearches", func(o *options) int { return o.MaxSearches }),
		each("MaxSearchesPerUser", byUser, func(o own) int { return o.MaxSearchesPerUser }))
	define(&w.others, "other commands",
		all("MaxCommands", func(o *options) int { return o.MaxCommands }),
		each("MaxCommandsPerUser", byUser, func(o own) int { return o.MaxCommandsPerUser }))
	define(&w.idles, "IDLEs",
		bound{name: "MaxPerUser", of: byUser, all: func(*options) int { return idlesPerUser }})
	return w
}

// change calls set with new options. They are in force from some moment during the call.
func (w *witness) change(options *limits.Options, set func(*limits.Options) error) {
	w.mu.Lock()
	w.history = append(w.history, options)
	w.mu.Unlock()
	if err := set(options); err != nil {
		w.t.Errorf("set options: %v", err)
	}
	w.mu.Lock()
	w.settled = len(w.history) - 1
	w.settledAt = append(w.settledAt, time.Now())
	w.mu.Unlock()
}

// enter notes that the stay is in the room until leave is called, and checks the bounds of the
// room.
func (w *witness) enter(r *room, s *stay) (leave func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps++
	s.step = w.steps
	s.exempt = w.maybeLocked(s.granted, s.mayBeExempt)
	r.stays[s] = struct{}{}
	r.total++
	r.most = max(r.most, len(r.stays))
	w.checkAllLocked(r, s)
	return sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(r.stays, s)
		w.forgetLocked(s)
	})
}

// forgetLocked notes that the session is closed, so it is no longer a candidate of an eviction.
func (w *witness) forgetLocked(s *stay) {
	w.evictions = slices.DeleteFunc(w.evictions, func(e *eviction) bool {
		delete(e.candidates, s)
		return len(e.candidates) == 0
	})
}

// come notes a login before the limiter decides about it, because the session may be evicted before
// it enters. The caller must call decided when the login has entered or was refused.
func (w *witness) come(s *stay) (decided func(entered bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.coming[s] = struct{}{}
	return func(entered bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.coming, s)
		if !entered {
			w.forgetLocked(s)
		}
		for other := range w.logins.stays {
			if other.user == s.user {
				w.checkAllLocked(&w.logins, other)
			}
		}
	}
}

// mayBeEvictedLocked reports whether a login may have evicted one of the stays, and has not said so
// yet: the limiter reports what a login has evicted only after others of the user may have entered.
func (w *witness) mayBeEvictedLocked(stays []*stay) bool {
	for login := range w.coming {
		if slices.ContainsFunc(stays, func(s *stay) bool { return s.user == login.user }) {
			return true
		}
	}
	return false
}

func (w *witness) checkAllLocked(r *room, s *stay) {
	for _, b := range r.bounds {
		w.checkLocked(r, b, s)
	}
}

// checkLocked checks that there are not too many stays with the same key as s. An exempt stay
// counts only if it was inside before the last of the others came, and so before that one was let
// in.
func (w *witness) checkLocked(r *room, b bound, s *stay) {
	var exempt, others []*stay
	since, asked := 0, uint64(0)
	for other := range r.stays {
		switch {
		case b.of(other) != b.of(s) || other.gone != nil && other.gone.Load():
		case other.exempt:
			exempt = append(exempt, other)
		default:
			others = append(others, other)
			since, asked = max(since, other.granted), max(asked, other.asked)
		}
	}
	inside := len(others) - w.evictedLocked(others)
	for _, other := range exempt {
		if other.step < asked && !w.isCandidateLocked(other) {
			inside++
		}
	}
	allowed := w.largestLocked(since, func(o *limits.Options) int { return b.most(o, others) })
	switch {
	case inside <= allowed:
	case r == &w.logins && w.mayBeEvictedLocked(append(exempt, others...)): // decided checks again
	default:
		w.t.Errorf(
			"%d %s at once of %q, but %s was never more than %d", inside, r.name, b.of(s), b.name, allowed,
		)
	}
}

// most returns the largest limit of those that are inside, or 0 if one of them has no limit.
func (b bound) most(o *limits.Options, inside []*stay) int {
	if b.all != nil {
		return b.all(o)
	}
	most := 0
	for _, s := range inside {
		limit := b.limit(clientLimits(o, s.user, s.ip))
		if limit == 0 {
			return 0
		}
		most = max(most, limit)
	}
	return most
}

// evictedLocked returns how many of the stays may have been evicted.
func (w *witness) evictedLocked(stays []*stay) (evicted int) {
	for _, e := range w.evictions {
		if slices.ContainsFunc(stays, func(s *stay) bool { return e.has(s) }) {
			evicted++
		}
	}
	return evicted
}

func (w *witness) isCandidateLocked(s *stay) bool {
	return slices.ContainsFunc(w.evictions, func(e *eviction) bool { return e.has(s) })
}

func (e *eviction) has(s *stay) bool {
	_, ok := e.candidates[s]
	return ok
}

// evict notes that a session of the user was evicted: its client is gone, or it came at least
// EvictIdle ago, and within the last second the limiter found that it was not exempt.
func (w *witness) evict(user, ip string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, someGone := &eviction{candidates: make(map[*stay]struct{})}, false
	for _, stays := range []map[*stay]struct{}{w.logins.stays, w.coming} {
		for s := range stays {
			switch {
			case s.user != user || s.ip != ip:
			case s.gone != nil && s.gone.Load():
				someGone = true
			case time.Since(s.start) >= w.evictIdle: // its idle time began at some moment after it came
				e.candidates[s] = struct{}{}
			}
		}
	}
	recent := w.settled
	for recent > 0 && time.Since(w.settledAt[recent]) < time.Second {
		recent--
	}
	if !someGone && !w.maybeLocked(recent, func(o *limits.Options) bool { return !isExempt(o, ip) }) {
		w.t.Errorf("a session of %s from %s was evicted, which is exempt", user, ip)
	}
	if len(e.candidates) > 0 {
		w.evictions = append(w.evictions, e)
	}
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

// maybeLocked reports whether options for which is returns true may have been in force since then.
func (w *witness) maybeLocked(since int, is func(*limits.Options) bool) bool {
	return slices.ContainsFunc(w.history[since:], is)
}

// clientLimits returns the limits of a client.
func clientLimits(o *limits.Options, user, ip string) limits.ClientLimits {
	own := limits.ClientLimits{
		MaxConnectionsPerIP: o.MaxConnectionsPerIP,
		MaxLoginsPerUser:    o.MaxLoginsPerUser,
		MaxLoginsPerIP:      o.MaxLoginsPerIP,
		MaxFailedLogins:     o.MaxFailedLogins,
		MaxFetchesPerUser:   o.MaxFetchesPerUser,
		MaxSearchesPerUser:  o.MaxSearchesPerUser,
		MaxWaitingPerUser:   o.MaxWaitingPerUser,
		ProgressInterval:    o.ProgressInterval,
	}
	if o.LimitsFor == nil {
		return own
	}
	return o.LimitsFor(limits.Client{User: user, Addr: netip.MustParseAddr(ip), Limits: own})
}

// arrival is a command that has come. Inside is true as soon as it runs.
type arrival struct {
	since   int      // the oldest options that may have been in force when it came
	granted int      // the oldest options that may have been in force when its slot was granted
	asked   uint64   // the number of the moment when the slot was asked for
	ips     []string // addresses of the clients that may have been granted the slot
	start   time.Time
	timeout func(*limits.Options) time.Duration
	inside  bool
}

// arrive notes that a command has come.
func (w *witness) arrive(ip string, timeout func(*limits.Options) time.Duration) *arrival {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps++
	return &arrival{
		since: w.settled, granted: w.settled, asked: w.steps, ips: []string{ip},
		start: time.Now(), timeout: timeout,
	}
}

func (a *arrival) mayBeExempt(o *limits.Options) bool {
	return slices.ContainsFunc(a.ips, func(ip string) bool { return isExempt(o, ip) })
}

func isExempt(o *limits.Options, ip string) bool {
	addr := netip.MustParseAddr(ip)
	return slices.ContainsFunc(o.Exempt, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// surelyExemptLocked reports whether the client itself has been exempt since it came.
func (w *witness) surelyExemptLocked(a *arrival) bool {
	return !w.maybeLocked(a.since, func(o *limits.Options) bool { return !isExempt(o, a.ips[0]) })
}

func (w *witness) surelyExempt(a *arrival) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.surelyExemptLocked(a)
}

// ask is arrive for a SEARCH. Equal SEARCHes can share a slot. That slot may have been granted
// before this SEARCH came, but not before the first of them came, and under the limits of any of
// them.
func (w *witness) ask(
	ip, question string, timeout func(*limits.Options) time.Duration,
) (a *arrival, answered func()) {
	a = w.arrive(ip, timeout)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asking[question] == nil {
		w.asking[question] = make(map[*arrival]struct{})
	}
	for other := range w.asking[question] {
		a.granted, a.asked = min(a.granted, other.granted), min(a.asked, other.asked)
		for _, ip := range other.ips {
			if !slices.Contains(a.ips, ip) {
				a.ips = append(a.ips, ip)
			}
		}
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

// endWait checks how long a command has waited, whether or not it ran afterwards. It may wait for
// the longest timeout that may have been in force since it came, plus extra. An exempt client never
// waits.
func (w *witness) endWait(a *arrival, what string, extra time.Duration) {
	waited := time.Since(a.start)
	w.mu.Lock()
	defer w.mu.Unlock()
	microseconds := func(o *limits.Options) int { return int(a.timeout(o).Microseconds()) }
	allowed := w.largestLocked(a.since, microseconds)
	if w.surelyExemptLocked(a) {
		allowed = 0
	} else if allowed == math.MaxInt {
		return
	}
	if longest := time.Duration(allowed)*time.Microsecond + extra + w.margin; waited > longest {
		w.t.Errorf("%s waited %v, but its timeout was never more than %v", what, waited, longest)
	}
}

// refuse checks a command that was refused. It must have waited for its timeout, unless the queue
// may have been full.
func (w *witness) refuse(s *stay, what string) {
	a := s.arrival
	waited := time.Since(a.start)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.surelyExemptLocked(a) {
		w.t.Errorf("%s from %s was refused, which is exempt", what, s.ip)
		return
	}
	for _, options := range w.history[a.since:] {
		timeout := a.timeout(options)
		most := clientLimits(options, s.user, s.ip).MaxWaitingPerUser
		if options.MaxWaiting > 0 || most > 0 || timeout > 0 && waited >= timeout {
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

// flag returns the flag that is set when the client of that address is gone, or nil.
func (w *witness) flag(address string) *atomic.Bool {
	flag, ok := w.gone.Load(address)
	if !ok {
		return nil
	}
	return flag.(*atomic.Bool)
}

// leaving must be called before either side closes or half-closes a connection.
func (w *witness) leaving(address string) {
	if flag := w.flag(address); flag != nil {
		flag.Store(true)
	}
}

// idling is enter for an IDLE of the backend.
func (w *witness) idling(user string) (leave func()) {
	return w.enter(&w.idles, &stay{user: strings.ToLower(user), arrival: &arrival{}})
}

func (w *witness) onEvent(e limits.Event) {
	switch e.Kind {
	case limits.EventAdmitted:
		w.waited.Add(1)
	case limits.EventJoined:
		w.joined.Add(1)
	case limits.EventEvicted:
		w.evicted.Add(1)
		w.evict(e.User, e.Addr.String())
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

// rooms are those of the limiter.
func (w *witness) rooms() []*room {
	return []*room{&w.connections, &w.checks, &w.logins, &w.fetches, &w.searches, &w.others}
}

func (w *witness) inside(r *room) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(r.stays)
}
