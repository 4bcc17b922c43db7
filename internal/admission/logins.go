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
// in. S is the caller's type of a session.
//
// A password check is expensive, so a storm of logins must not cost one check each. But a limit on
// a user's logins must not show strangers anything about the account, or lock the user out. So
// logins are decided by pairs of a network and a user, as the client names it:
//
//   - While no session of the user is logged in from the network, its logins are checked one at
//     a time, whatever the state of the account and its limits.
//   - While there is such a session, as many logins are checked at once as the limits still have
//     room for. When the user is at the limit, logins are refused without a check.
//
// A caller calls Ask, then Wait if the attempt is waiting, makes the check, calls Admit if the
// check was successful, and then End.
type Logins[S any] struct {
	// Timeout is the longest wait for the outcome of other logins of the pair. Zero means no limit. It
	// must not change.
	Timeout time.Duration

	// reviews counts the calls of Review, so that no login waits with limits that it read before such
	// a call.
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

// A LoginCaller wants to log in.
type LoginCaller struct {
	User    string       // the key of the name that the client claims; "" if not known
	Pair    netip.Prefix // the network of the pair; the zero Prefix if there is none
	Network netip.Prefix // the network that has the limit; the zero Prefix if there is none
	// Start is when the caller began to wait, if it has been refused once and asks again; or zero.
	Start time.Time
	// Limits returns the client's current limits. It is called without a lock: when the client asks,
	// when it is admitted and, while it waits, at each call of Review.
	Limits func() LoginLimits
}

// LoginLimits are the limits of one client. Zero means no limit.
type LoginLimits struct {
	User     int  // sessions of the client's user
	Network  int  // sessions from the client's network
	OneByOne bool // check strangers' logins one at a time, as users have a limit
	Exempt   bool // never waits for other logins
	Force    bool // never refused, and never waits
}

// pairKey is a user as the client names it, and the network that it comes from. That is not the
// network of the limit: strangers whom that one groups with a user must not delay the user.
type pairKey struct {
	user    string
	network netip.Prefix
}

// pair is the state of one pairKey.
type pair struct {
	key      pairKey
	checking int       // password checks that run
	sessions int       // sessions that are logged in
	user     string    // the user of the sessions, as the caller named it, not the client
	mixed    bool      // the sessions are of different users, so the next one's is unknown
	waiters  list.List // of *loginWaiter, in the order of arrival
}

// asker is a caller with its limits.
type asker struct {
	LoginCaller
	limits LoginLimits
}

// decideLocked decides about the next login of the pair: it is refused, or it waits, or, if
// neither, it is checked.
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

// lock takes the lock, and reads the caller's current limits.
func (l *Logins[S]) lock(c *asker) {
	for {
		reviews := l.reviews.Load()
		limits := c.Limits()
		l.mu.Lock()
		if reviews == l.reviews.Load() {
			c.limits = limits
			return
		}
		l.mu.Unlock() // the limits may be old
	}
}

// refusalLocked returns why the caller cannot log in now. The user's limit counts if user is not
// "".
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

// roomLocked returns how many more sessions of the user may be logged in if none is evicted.
func (l *Logins[S]) roomLocked(c *asker, user string) int {
	if c.limits.User <= 0 || user == "" {
		return math.MaxInt
	}
	return c.limits.User - l.users.Get(user).count()
}

// knownUser returns the user of the pair's sessions. It is "" if there are none or of several
// users: then the login must not depend on the state of the account.
func (p *pair) knownUser() string {
	if p.sessions == 0 || p.mixed {
		return ""
	}
	return p.user
}

// settleLocked lets those waiters of the pair go on that may be checked now, refuses those that are
// sure to be refused, and drops an empty pair. While a login of a pair waits, another one of it is
// being checked, so every wait ends.
func (l *Logins[S]) settleLocked(p *pair) {
	for p.waiters.Len() > 0 {
		if !l.settleOneLocked(p, p.waiters.Front().Value.(*loginWaiter)) {
			return
		}
	}
	l.dropPairLocked(p)
}

// settleOneLocked ends the wait of one of the pair's waiters, unless it must go on.
func (l *Logins[S]) settleOneLocked(p *pair, w *loginWaiter) (ended bool) {
	refusal, waits := l.decideLocked(w.asker, p)
	if waits {
		return false
	}
	p.waiters.Remove(w.place)
	w.refusal, w.settled = refusal, true
	l.waiting--
	if !refusal.Is() {
		l.beginLocked(p)
	}
	close(w.ready)
	return true
}

// settleExemptLocked lets the pair's waiters go on that have become exempt, past all others.
func (l *Logins[S]) settleExemptLocked(p *pair) {
	for place := p.waiters.Front(); place != nil; {
		w := place.Value.(*loginWaiter)
		place = place.Next()
		if w.asker.limits.Exempt {
			l.settleOneLocked(p, w)
		}
	}
}

// dropPairLocked drops an empty pair.
func (l *Logins[S]) dropPairLocked(p *pair) {
	if p.checking == 0 && p.sessions == 0 { // so nobody waits
		l.pairs.Delete(p.key)
	}
}

// mayCheckLocked reports whether one more login of the pair may be checked beside the running
// checks: no more than the limits have room for, and only one while the pair has no session.
// Without a session this does not depend on the limits of the user, which a stranger must not
// learn.
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

// Review asks all who wait for their limits, which must have changed before the call. When it
// returns, all who may go on do so. If two calls overlap, the later one counts.
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
	for _, p := range l.pairs.All {
		l.settleExemptLocked(p)
		l.settleLocked(p)
	}
}

// Close refuses all who wait and all who come later. Logged-in sessions stay.
func (l *Logins[S]) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, p := range l.pairs.All {
		l.settleLocked(p)
	}
}

// Counts returns how many sessions are logged in, how many logins are being checked, and how many
// wait.
func (l *Logins[S]) Counts() (sessions, checking, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total, l.checking, l.waiting
}

// Entries returns how many users, networks and pairs have an entry.
func (l *Logins[S]) Entries() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.users.Len() + l.networks.Len() + l.pairs.Len()
}
