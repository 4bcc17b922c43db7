package limits

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
)

// loginTimeout is how long a login waits for the outcome of others of the same user and address.
const loginTimeout = 30 * time.Second

// logins counts the sessions that are logged in, and decides which logins are worth a password check: see the package comment.
//
// The session code knows two calls of it: begin before a password check, and admit after a good one. A count that spans several machines
// belongs into admit, behind the local one.
type logins struct {
	mu                   sync.Mutex
	maxPerUser, maxPerIP int // 0: no limit
	closed               bool
	total                int
	checking             int
	waiting              int
	users                table[string, int]
	ips                  table[netip.Prefix, int]
	pairs                table[loginKey, *pair]
}

// loginKey is a user as the client names it, by its key, and the network it comes from.
type loginKey struct {
	user string
	ip   netip.Prefix
}

// pair is what goes on for one loginKey.
type pair struct {
	checking int       // password checks that run
	sessions int       // sessions that are logged in
	user     string    // whose sessions they are: Options.Username may know another name than the client gave
	waiters  list.List // of *loginWaiter, first come first served
}

type loginWaiter struct {
	ready   chan struct{} // closed when the login may be checked, or is refused
	refusal *imap.Error   // set before ready is closed
	settled bool
}

// attempt is a login whose password is being checked.
type attempt struct {
	logins *logins
	key    loginKey
	pair   *pair         // nil if the user is not known
	waited time.Duration // for the outcome of others
}

// begin waits until the login may be checked, and returns an attempt that must be ended. After a
// refusal (one of the two for logins, ErrClosed or errClientGone) there is nothing to end.
func (l *logins) begin(key loginKey, client *socket) (*attempt, *imap.Error) {
	l.mu.Lock()
	a := &attempt{logins: l, key: key}
	if key.user == "" {
		defer l.mu.Unlock()
		if refusal := l.refusalLocked(key.ip, ""); refusal != nil {
			return nil, refusal
		}
		l.checking++
		return a, nil
	}

	a.pair = l.pairs.get(key)
	if a.pair == nil {
		a.pair = &pair{}
		l.pairs.set(key, a.pair)
	}
	w := &loginWaiter{ready: make(chan struct{})}
	element := a.pair.waiters.PushBack(w)
	l.waiting++
	l.settleLocked(key, a.pair)
	if !w.settled {
		l.mu.Unlock()
		start := time.Now()
		got := await(w.ready, nil, start.Add(loginTimeout), client)
		l.mu.Lock()
		a.waited = time.Since(start)
		switch {
		case w.settled && got == outcomeClientGone && w.refusal == nil:
			l.endLocked(a)
			w.refusal = errClientGone
		case w.settled:
		default:
			a.pair.waiters.Remove(element)
			l.waiting--
			l.settleLocked(key, a.pair)
			w.refusal = ErrTooManyUserLogins
			if got == outcomeClientGone {
				w.refusal = errClientGone
			}
		}
	}
	l.mu.Unlock()
	if w.refusal != nil {
		return nil, w.refusal
	}
	return a, nil
}

// end tells that the password check is over. Those who wait for its outcome are admitted to theirs or refused.
func (a *attempt) end() {
	a.logins.mu.Lock()
	defer a.logins.mu.Unlock()
	a.logins.endLocked(a)
}

func (l *logins) endLocked(a *attempt) {
	l.checking--
	if a.pair != nil {
		a.pair.checking--
		l.settleLocked(a.key, a.pair)
	}
}

// admit counts a session of the user from the attempt's network as logged in, and returns what takes it off again. The user is known to
// be who it says: it is the key of the name in the attempt, or of the one that the backend gave.
func (a *attempt) admit(user string) (release func(), refusal *imap.Error) {
	l := a.logins
	l.mu.Lock()
	defer l.mu.Unlock()
	if refusal := l.refusalLocked(a.key.ip, user); refusal != nil {
		return nil, refusal
	}
	l.countLocked(a, user, 1)
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.countLocked(a, user, -1)
	}), nil
}

func (l *logins) countLocked(a *attempt, user string, n int) {
	l.total += n
	addTo(&l.users, user, n)
	addTo(&l.ips, a.key.ip, n)
	if a.pair != nil {
		a.pair.sessions += n
		a.pair.user = user
		l.settleLocked(a.key, a.pair)
	}
}

// refusalLocked returns why a session from the network, of the user if not "", cannot be logged in now.
func (l *logins) refusalLocked(ip netip.Prefix, user string) *imap.Error {
	switch {
	case l.closed:
		return ErrClosed
	case l.maxPerIP > 0 && l.ips.get(ip) >= l.maxPerIP:
		return ErrTooManyIPLogins
	case user != "" && l.maxPerUser > 0 && l.users.get(user) >= l.maxPerUser:
		return ErrTooManyUserLogins
	default:
		return nil
	}
}

// settleLocked lets those of the pair's waiters go on that may be checked now, refuses those that are known to be refused, and forgets
// a pair with which nothing goes on. Somebody's check is running while others wait, so that every wait has an end.
func (l *logins) settleLocked(key loginKey, p *pair) {
	for p.waiters.Len() > 0 {
		user := "" // the state of the account is nobody's business who has no session
		if p.sessions > 0 {
			user = p.user
		}
		refusal := l.refusalLocked(key.ip, user)
		if refusal == nil && !l.mayCheckLocked(key.ip, p) {
			return
		}
		w := p.waiters.Remove(p.waiters.Front()).(*loginWaiter)
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

// mayCheckLocked tells whether one more login of the pair may be checked beside those that are.
func (l *logins) mayCheckLocked(ip netip.Prefix, p *pair) bool {
	if l.maxPerIP > 0 && ip.IsValid() && p.checking >= l.maxPerIP-l.ips.get(ip) {
		return false
	}
	switch {
	case l.maxPerUser == 0:
		return true
	case p.sessions == 0:
		return p.checking == 0
	default:
		return p.checking < l.maxPerUser-l.users.get(p.user)
	}
}

func (l *logins) setLimits(maxPerUser, maxPerIP int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.maxPerUser, l.maxPerIP = maxPerUser, maxPerIP
	l.settleAllLocked()
}

func (l *logins) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.settleAllLocked()
}

func (l *logins) settleAllLocked() {
	for key, p := range l.pairs.entries {
		l.settleLocked(key, p)
	}
}

func (l *logins) counts() (sessions, checking, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total, l.checking, l.waiting
}
