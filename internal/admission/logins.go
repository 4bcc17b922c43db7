package admission

import (
	"container/list"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Logins decides which logins are worth a password check, and counts the sessions that are logged
// in. S is what the caller knows a session by.
//
// A password check is expensive, so a storm of logins must not cost one each; and a limit on the
// logins of a user must not tell a stranger of the account, or lock the user out. So logins are
// looked at in pairs of a user, as the client names it, and a network:
//
//   - While no session of the user is logged in from the network, its logins are checked one at a
//     time, whatever the state of the account and its limits.
//   - While there is one, as many are checked at once as could still be admitted, and none when the
//     user is at the limit: those are refused without a check.
//
// A caller goes Ask, Wait if it must, the check, Admit if that went well, and End.
type Logins[S any] struct {
	// Timeout is the longest wait for the outcome of other logins of the pair. Zero means no limit. It
	// must not change.
	Timeout time.Duration

	// reviews counts the calls of Review, so that nobody waits with limits that it has read before one
	// of them.
	reviews atomic.Uint64

	mu       sync.Mutex
	closed   bool
	total    int
	checking int
	waiting  int
	users    Table[string, *loginUser[S]]
	networks Table[netip.Prefix, int]
	pairs    Table[pairKey, *pair]
}

// A LoginCaller is who wants to log in.
type LoginCaller struct {
	User    string       // the key of the name that the client claims; "" if not known
	Pair    netip.Prefix // the network for the rules of pairs; the zero Prefix if there is none
	Network netip.Prefix // the network for its limit; the zero Prefix if there is none
	// Limits returns the limits of the client now. It is called without a lock: when the client asks
	// or is admitted and, while it waits, at each call of Review.
	Limits func() LoginLimits
}

// LoginLimits are the limits of one client. Zero means no limit.
type LoginLimits struct {
	User     int  // sessions of its user
	Network  int  // sessions from its network
	OneByOne bool // there is a limit on users' logins, so that those of strangers are checked so
	Exempt   bool // checked at once
	Force    bool // never refused, and never waits
}

// pairKey is a user as the client names it, and the network that it comes from. That is not the
// network of the limit: strangers whom that puts together with a user must not delay the user.
type pairKey struct {
	user    string
	network netip.Prefix
}

// pair is what there is of one pairKey.
type pair struct {
	checking int       // password checks that run
	sessions int       // sessions that are logged in
	user     string    // whose they are: the caller may know better than the client's own words
	mixed    bool      // they are different users', so that nothing is known of the next one
	waiters  list.List // of *loginWaiter, first come first served
}

// asker is a caller with its limits.
type asker struct {
	LoginCaller
	limits LoginLimits
}

// loginWaiter is a login that waits for the outcome of others.
type loginWaiter struct {
	asker   *asker
	start   time.Time
	ready   chan struct{} // closed when the login may be checked, or is refused
	settled bool
	refusal Refusal // set before ready is closed
	place   *list.Element
}

// An Attempt is a login that waits, or whose password may be checked. It belongs to the goroutine
// of the caller.
type Attempt[S any] struct {
	Refusal Refusal
	Waited  time.Duration // for the outcome of others

	logins *Logins[S]
	asker  asker
	pair   *pair        // nil if the user or the network is not known, and if forced
	waiter *loginWaiter // nil if it need not wait
	ended  bool
}

// Ask returns an attempt. It does not block: if the attempt is waiting, Wait does. Without a
// refusal End must be called.
//
// Of callers without a network nobody can say who is a stranger to whom: there each is checked.
func (l *Logins[S]) Ask(caller LoginCaller) *Attempt[S] {
	a := &Attempt[S]{logins: l, asker: asker{LoginCaller: caller}}
	l.lock(&a.asker)
	defer l.mu.Unlock()
	if force := a.asker.limits.Force; caller.User == "" || !caller.Pair.IsValid() || force {
		if refusal := l.refusalLocked(&a.asker, ""); refusal.Is() && !force {
			a.Refusal, a.ended = refusal, true
			return a
		}
		l.checking++
		return a
	}
	a.pair = l.pairs.Get(a.key())
	if a.pair == nil {
		a.pair = &pair{}
		l.pairs.Set(a.key(), a.pair)
	}
	refusal, waits := l.decideLocked(&a.asker, a.pair)
	switch {
	case waits || a.pair.waiters.Len() > 0 && !a.asker.limits.Exempt:
		a.waiter = &loginWaiter{asker: &a.asker, start: time.Now(), ready: make(chan struct{})}
		a.waiter.place = a.pair.waiters.PushBack(a.waiter)
		l.waiting++
	case refusal.Is():
		a.Refusal, a.ended = refusal, true
		l.dropPairLocked(a.key(), a.pair)
	default:
		l.beginLocked(a.pair)
	}
	return a
}

// decideLocked tells what becomes of the next login of the pair: it is refused, it waits or, if
// neither is true, it is checked.
func (l *Logins[S]) decideLocked(c *asker, p *pair) (refusal Refusal, waits bool) {
	if c.limits.Force {
		return Refusal{}, false
	}
	if refusal = l.refusalLocked(c, p.knownUser()); refusal.Is() {
		return refusal, false
	}
	return Refusal{}, !l.mayCheckLocked(c, p)
}

// beginLocked counts a check of the pair.
func (l *Logins[S]) beginLocked(p *pair) {
	p.checking++
	l.checking++
}

// lock takes the lock, and gives the caller the limits of now.
func (l *Logins[S]) lock(c *asker) {
	for {
		reviews := l.reviews.Load()
		limits := c.Limits()
		l.mu.Lock()
		if reviews == l.reviews.Load() {
			c.limits = limits
			return
		}
		l.mu.Unlock() // they may be old
	}
}

func (a *Attempt[S]) key() pairKey { return pairKey{a.asker.User, a.asker.Pair} }

// Waiting tells whether the attempt waits for the outcome of others.
func (a *Attempt[S]) Waiting() bool { return a.waiter != nil }

// Wait blocks until the login may be checked, or returns the refusal: UserFull or NetworkFull, also
// when the time is up; EqualRuns if it is up, and the client has no limit; Closed; or Gone when
// gone is closed, be it at the last moment.
func (a *Attempt[S]) Wait(gone <-chan struct{}) Refusal {
	if a.waiter == nil {
		return a.Refusal
	}
	var timeout <-chan time.Time
	if a.logins.Timeout > 0 {
		timer := time.NewTimer(time.Until(a.waiter.start.Add(a.logins.Timeout)))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-a.waiter.ready:
	case <-gone:
	case <-timeout:
	}
	a.endWait(isClosed(gone))
	return a.Refusal
}

// endWait ends the wait: the login was let go on or refused, its client is gone, or its time is up.
func (a *Attempt[S]) endWait(gone bool) {
	l, w := a.logins, a.waiter
	l.mu.Lock()
	defer l.mu.Unlock()
	a.waiter = nil
	a.Waited = time.Since(w.start)
	a.Refusal = w.refusal
	switch {
	case w.settled && w.refusal.Is():
		a.ended = true
	case w.settled && gone:
		a.Refusal = Refusal{Reason: Gone}
		l.endLocked(a)
	case w.settled:
	default:
		a.ended = true
		a.Refusal = l.timedOut(a.asker.limits)
		if gone {
			a.Refusal = Refusal{Reason: Gone}
		}
		a.pair.waiters.Remove(w.place)
		l.waiting--
		l.settleLocked(a.key(), a.pair)
	}
}

// timedOut returns the refusal of a login that has waited for too long. Of those limits that it may
// have waited for it is always the same: which one it was is no stranger's business.
func (l *Logins[S]) timedOut(limits LoginLimits) Refusal {
	switch {
	case limits.User > 0:
		return Refusal{Reason: UserFull, Limit: limits.User, TimedOut: true}
	case limits.Network > 0:
		return Refusal{Reason: NetworkFull, Limit: limits.Network, TimedOut: true}
	default:
		return Refusal{Reason: EqualRuns, Timeout: l.Timeout, TimedOut: true}
	}
}

// End says that the check is over. Those who wait for its outcome go on or are refused. It may be
// called again, and from another goroutine than the one of the caller.
func (a *Attempt[S]) End() {
	a.logins.mu.Lock()
	defer a.logins.mu.Unlock()
	a.logins.endLocked(a)
}

func (l *Logins[S]) endLocked(a *Attempt[S]) {
	if a.ended {
		return
	}
	a.ended = true
	l.checking--
	if a.pair != nil {
		a.pair.checking--
		l.settleLocked(a.key(), a.pair)
	}
}

// refusalLocked returns why the caller cannot be logged in now, as the user if that is not "".
func (l *Logins[S]) refusalLocked(c *asker, user string) Refusal {
	switch {
	case l.closed:
		return Refusal{Reason: Closed}
	case l.roomAtLocked(c) <= 0:
		return Refusal{Reason: NetworkFull, Limit: c.limits.Network}
	case l.roomToMakeLocked(c, user) <= 0:
		return Refusal{Reason: UserFull, Limit: c.limits.User}
	default:
		return Refusal{}
	}
}

// roomAtLocked returns how many more sessions may be logged in from the caller's network.
func (l *Logins[S]) roomAtLocked(c *asker) int {
	if c.limits.Network <= 0 || !c.Network.IsValid() {
		return math.MaxInt
	}
	return c.limits.Network - l.networks.Get(c.Network)
}

// roomLocked returns how many more sessions of the user may be logged in while nobody makes room.
func (l *Logins[S]) roomLocked(c *asker, user string) int {
	if c.limits.User <= 0 || user == "" {
		return math.MaxInt
	}
	return c.limits.User - l.users.Get(user).count()
}

// knownUser returns the user whose sessions the pair has, "" if it has none: then the state of the
// account is nobody's business.
func (p *pair) knownUser() string {
	if p.sessions == 0 || p.mixed {
		return ""
	}
	return p.user
}

// settleLocked lets those of the pair's waiters go on that may be checked now, refuses those that
// are known to be refused, and forgets a pair with nothing in it. While somebody waits somebody's
// check runs, so that every wait has an end.
func (l *Logins[S]) settleLocked(key pairKey, p *pair) {
	for p.waiters.Len() > 0 {
		w := p.waiters.Front().Value.(*loginWaiter)
		refusal, waits := l.decideLocked(w.asker, p)
		if waits {
			return
		}
		p.waiters.Remove(w.place)
		w.refusal, w.settled = refusal, true
		l.waiting--
		if !refusal.Is() {
			l.beginLocked(p)
		}
		close(w.ready)
	}
	l.dropPairLocked(key, p)
}

// dropPairLocked forgets a pair with nothing in it.
func (l *Logins[S]) dropPairLocked(key pairKey, p *pair) {
	if p.checking == 0 && p.sessions == 0 { // then nobody waits
		l.pairs.Delete(key)
	}
}

// mayCheckLocked tells whether one more login of the pair may be checked beside those that are: no
// more than could still be admitted, and only one while no session of the user is there. That does
// not depend on the limits of the user, which are nobody's business either.
func (l *Logins[S]) mayCheckLocked(c *asker, p *pair) bool {
	if c.limits.Exempt {
		return true
	}
	room := l.roomAtLocked(c)
	if user := p.knownUser(); user != "" {
		room = min(room, l.roomToMakeLocked(c, user))
	} else if c.limits.OneByOne {
		room = min(room, 1)
	}
	return p.checking < room
}

// Review asks all who wait for their limits, which must have changed before. When it returns, all
// who may go on do. Of two calls at the same time the later one counts.
func (l *Logins[S]) Review() {
	review := l.reviews.Add(1)
	l.mu.Lock()
	var waiters []*loginWaiter
	for _, p := range l.pairs.All {
		for place := p.waiters.Front(); place != nil; place = place.Next() {
			waiters = append(waiters, place.Value.(*loginWaiter))
		}
	}
	l.mu.Unlock()

	fresh := make([]LoginLimits, len(waiters))
	for i, w := range waiters {
		fresh[i] = w.asker.Limits()
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	if review != l.reviews.Load() {
		return
	}
	for i, w := range waiters {
		w.asker.limits = fresh[i]
	}
	for key, p := range l.pairs.All {
		l.settleLocked(key, p)
	}
}

// Close refuses all who wait and all who come. Who is logged in stays.
func (l *Logins[S]) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for key, p := range l.pairs.All {
		l.settleLocked(key, p)
	}
}

// Counts returns how many sessions are logged in, how many logins are being checked, and how many
// wait.
func (l *Logins[S]) Counts() (sessions, checking, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total, l.checking, l.waiting
}

// Entries returns how many users, networks and pairs something is kept of.
func (l *Logins[S]) Entries() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.users.Len() + l.networks.Len() + l.pairs.Len()
}
