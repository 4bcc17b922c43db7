package limits

import (
	"container/list"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
)

// loginTimeout is how long a login waits for the outcome of others of the same user and address.
const loginTimeout = 30 * time.Second

// logins counts the sessions that are logged in, and decides which logins are worth a password
// check: see the package comment.
//
// The session code knows two calls of it: begin before a password check, and admit after a good
// one. A count that spans several machines belongs into admit, behind the local one.
type logins struct {
	mu       sync.Mutex
	closed   bool
	total    int
	checking int
	waiting  int
	users    table[string, []*session] // those who are logged in, in order
	evicted  table[string, int]        // sessions of each user that had to leave, and still run a command
	ips      table[netip.Prefix, int]
	pairs    table[loginKey, *pair]
}

// loginKey is a user as the client names it, by its key, and the address it comes from, an IPv6 one
// by its /64. That is not what IPKey makes of it: strangers whom that puts together with a user
// must not delay the user's logins.
type loginKey struct {
	user    string
	network netip.Prefix
}

// pair is what goes on for one loginKey.
type pair struct {
	checking int       // password checks that run
	sessions int       // sessions that are logged in
	user     string    // whose they are: Options.Username may know another name than the client gave
	mixed    bool      // they are different users', so that nothing is known of the next one
	waiters  list.List // of *loginWaiter, first come first served
}

type loginWaiter struct {
	client  *client
	ready   chan struct{} // closed when the login may be checked, or is refused
	refusal *imap.Error   // set before ready is closed
	settled bool
}

// attempt is a login whose password is being checked.
type attempt struct {
	logins *logins
	client *client
	key    loginKey
	pair   *pair         // nil if the user or the address is not known, and under DryRun
	waited time.Duration // for the outcome of others
	ended  bool
}

// login is a session that is logged in.
type login struct {
	attempt *attempt
	session *session
	user    string
	left    bool
	evicted bool
}

// begin waits until the login of the user may be checked, and returns an attempt, which must be
// ended unless there is a refusal: one of the two for logins, ErrClosed or errClientGone. Under
// dryRun nobody waits or is refused.
//
// Of connections without an address, such as a Unix socket's, nobody can say who is a stranger to
// whom: there each login is checked.
func (l *logins) begin(c *client, user string, dryRun bool) (*attempt, *imap.Error) {
	a := &attempt{logins: l, client: c, key: loginKey{user, network(c.addr)}}
	l.mu.Lock()
	defer l.mu.Unlock()
	if user == "" || !c.addr.IsValid() || dryRun {
		if refusal := l.refusalLocked(c, ""); refusal != nil && !dryRun {
			return a, refusal
		}
		l.checking++
		return a, nil
	}

	a.pair = l.pairs.get(a.key)
	if a.pair == nil {
		a.pair = &pair{}
		l.pairs.set(a.key, a.pair)
	}
	w := &loginWaiter{client: c, ready: make(chan struct{})}
	place := a.pair.waiters.PushBack(w)
	l.waiting++
	l.settleLocked(a.key, a.pair)
	if !w.settled {
		l.waitLocked(a, w, place)
	}
	return a, w.refusal
}

// waitLocked waits, without the lock, until the waiter is settled, and settles it itself if it
// gives up.
func (l *logins) waitLocked(a *attempt, w *loginWaiter, place *list.Element) {
	start := time.Now()
	wait := wait{client: a.client, deadline: start.Add(loginTimeout)}
	defer wait.end()
	l.mu.Unlock()
	got := wait.next(w.ready, nil)
	l.mu.Lock()
	a.waited = time.Since(start)
	switch {
	case w.settled && w.refusal == nil && got == outcomeClientGone:
		w.refusal = errClientGone
		l.endLocked(a)
	case w.settled:
	default:
		switch {
		case got == outcomeClientGone:
			w.refusal = errClientGone
		case a.client.limits.Load().MaxLoginsPerUser > 0:
			w.refusal = ErrTooManyUserLogins
		default:
			w.refusal = ErrTooManyIPLogins
		}
		a.pair.waiters.Remove(place)
		l.waiting--
		l.settleLocked(a.key, a.pair)
	}
}

// end tells that the password check is over. Those who wait for its outcome are admitted to theirs
// or refused. It may be called again.
func (a *attempt) end() {
	a.logins.mu.Lock()
	defer a.logins.mu.Unlock()
	a.logins.endLocked(a)
}

func (l *logins) endLocked(a *attempt) {
	if a.ended {
		return
	}
	a.ended = true
	l.checking--
	if a.pair != nil {
		a.pair.checking--
		l.settleLocked(a.key, a.pair)
	}
}

// admit counts the session as logged in as the user, who is known to be who it says: it is the key
// of the name in the attempt, or of the one that the backend gave. Other sessions of the user that
// had to make room for it are returned as evicted, and do not count any more: more than one after
// the limit has gone down. Under dryRun the session is counted even if there is a refusal, and
// nobody is evicted.
func (a *attempt) admit(
	s *session, user string, dryRun bool,
) (evicted []*session, refusal *imap.Error) {
	l := a.logins
	l.mu.Lock()
	defer l.mu.Unlock()
	refusal = l.refusalLocked(a.client, "")
	if room := l.roomLocked(a.client, user); refusal == nil && room <= 0 {
		if candidates := l.evictableLocked(a.client, user); room+len(candidates) <= 0 {
			refusal = ErrTooManyUserLogins
		} else if !dryRun {
			evicted = candidates[:1-room]
		}
	}
	for _, older := range evicted {
		l.leaveLocked(older.login)
		older.login.evicted = true
		addTo(&l.evicted, user, 1)
	}
	if refusal != nil && !dryRun {
		return nil, refusal
	}
	s.login = &login{session: s, user: user, attempt: a}
	l.total++
	addTo(&l.ips, a.client.ip, 1)
	if user != "" {
		l.users.set(user, append(l.users.get(user), s))
	}
	if p := a.pair; p != nil {
		p.mixed = p.sessions > 0 && (p.mixed || p.user != user)
		p.user = user
		p.sessions++
		l.settleLocked(a.key, p)
	}
	return evicted, refusal
}

// leave takes the session off the count, if it is on it.
func (l *logins) leave(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaveLocked(s.login)
	if s.login != nil && s.login.evicted {
		addTo(&l.evicted, s.login.user, -1)
	}
	s.login = nil
}

func (l *logins) leaveLocked(in *login) {
	if in == nil || in.left {
		return
	}
	in.left = true
	l.total--
	a := in.attempt
	addTo(&l.ips, a.client.ip, -1)
	if in.user != "" {
		sessions := l.users.get(in.user)
		at := slices.Index(sessions, in.session)
		if sessions = slices.Delete(sessions, at, at+1); len(sessions) > 0 {
			l.users.set(in.user, sessions)
		} else {
			l.users.delete(in.user)
		}
	}
	if a.pair != nil {
		a.pair.sessions--
		l.settleLocked(a.key, a.pair)
	}
}

// refusalLocked returns why the client cannot be logged in now, as the user if that is not "".
func (l *logins) refusalLocked(c *client, user string) *imap.Error {
	switch {
	case l.closed:
		return ErrClosed
	case l.roomAtLocked(c) <= 0:
		return ErrTooManyIPLogins
	case l.roomLocked(c, user) <= 0 && l.roomToMakeLocked(c, user) <= 0:
		return ErrTooManyUserLogins
	default:
		return nil
	}
}

// roomAtLocked returns how many more sessions may be logged in from the client's network.
func (l *logins) roomAtLocked(c *client) int {
	max := c.limits.Load().MaxLoginsPerIP
	if max <= 0 || !c.ip.IsValid() {
		return math.MaxInt
	}
	return max - l.ips.get(c.ip)
}

// roomLocked returns how many more sessions of the user may be logged in.
func (l *logins) roomLocked(c *client, user string) int {
	max := c.limits.Load().MaxLoginsPerUser
	if max <= 0 || user == "" {
		return math.MaxInt
	}
	return max - len(l.users.get(user))
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
// are known to be refused, and forgets a pair with which nothing goes on. Somebody's check is
// running while others wait, so that every wait has an end.
func (l *logins) settleLocked(key loginKey, p *pair) {
	for p.waiters.Len() > 0 {
		w := p.waiters.Front().Value.(*loginWaiter)
		refusal := l.refusalLocked(w.client, p.knownUser())
		if refusal == nil && !l.mayCheckLocked(w.client, p) {
			return
		}
		p.waiters.Remove(p.waiters.Front())
		w.refusal, w.settled = refusal, true
		l.waiting--
		if refusal == nil {
			p.checking++
			l.checking++
		}
		close(w.ready)
	}
	if p.checking == 0 && p.sessions == 0 {
		l.pairs.delete(key)
	}
}

// mayCheckLocked tells whether one more login of the pair may be checked beside those that are: no
// more than could still be admitted, and only one while no session of the user is there. That does
// not depend on the limits of the user, which are nobody's business either.
func (l *logins) mayCheckLocked(c *client, p *pair) bool {
	if c.limits.Load().exempt {
		return true
	}
	room := l.roomAtLocked(c)
	if user := p.knownUser(); user != "" {
		room = min(room, l.roomLocked(c, user))
		if p.checking >= room {
			room = min(l.roomAtLocked(c), l.roomToMakeLocked(c, user))
		}
	} else if c.limiter.settings.Load().limitsUserLogins() {
		room = min(room, 1)
	}
	return p.checking < room
}

// review decides anew about all who wait, after their limits have changed.
func (l *logins) review() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, p := range l.pairs.entries {
		l.settleLocked(key, p)
	}
}

func (l *logins) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.review()
}

func (l *logins) counts() (sessions, checking, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total, l.checking, l.waiting
}
