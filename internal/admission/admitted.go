package admission

import (
	"net/netip"
	"time"
)

// loginUser has the sessions of one user, and which of them can make room for another one.
type loginUser[S any] struct {
	logins  []*Login[S]
	evicted int // evicted sessions that are not closed yet: they may still run a command

	// What the last sweep found: sessions whose client has hung up, and silent ones.
	hungUp, silent candidates[S]

	swept    time.Time     // when the last sweep was
	sweeping chan struct{} // closed after the running sweep; nil if none runs
}

func (u *loginUser[S]) count() int {
	if u == nil {
		return 0
	}
	return len(u.logins)
}

// A Login is a session that is logged in.
type Login[S any] struct {
	Session S

	network netip.Prefix
	pair    *pair // of its attempt; nil if that had none
	user    string
	at      int // in loginUser.logins
	left    bool
	evicted bool

	candidates  *candidates[S] // the list that it is in; nil if it cannot make room
	candidateAt int            // its place in that list
}

// Admit counts the session as logged in, as the user whom the backend has logged in; that may be
// another one than the attempt's. It must be called before End.
//
// Sessions that make room are returned as evicted, and do not count any more; there are several if
// the limit has been lowered. A caller with Force evicts nobody. The refusal is Closed, NetworkFull
// or UserFull; then nothing is counted.
func (a *Attempt[S]) Admit(
	user string, session S,
) (in *Login[S], evicted []*Login[S], refusal Refusal) {
	l := a.logins
	l.lock(&a.asker)
	defer l.mu.Unlock()
	if refusal = l.refusalLocked(&a.asker, user); refusal.Is() {
		return nil, nil, refusal
	}
	if room := l.roomLocked(&a.asker, user); room <= 0 && !a.asker.limits.Force {
		for range 1 - room {
			evicted = append(evicted, l.evictLocked(&a.asker, user))
		}
	}
	return l.admitLocked(a, user, session), evicted, Refusal{}
}

// AdmitInstead is Admit for a session that replaces another one of the user, even if there is room
// for both. The first candidate to make room is evicted. If there is none, or there is a refusal,
// both results are nil, and nothing is counted.
func (a *Attempt[S]) AdmitInstead(user string, session S) (in, evicted *Login[S]) {
	l := a.logins
	l.lock(&a.asker)
	defer l.mu.Unlock()
	makeRoom := l.roomToMakeLocked(&a.asker, user) - l.roomLocked(&a.asker, user)
	if makeRoom <= 0 || l.refusalLocked(&a.asker, user).Is() {
		return nil, nil
	}
	evicted = l.evictLocked(&a.asker, user)
	return l.admitLocked(a, user, session), evicted
}

// AdmitAnyway is Admit without any limits.
func (a *Attempt[S]) AdmitAnyway(user string, session S) *Login[S] {
	a.logins.mu.Lock()
	defer a.logins.mu.Unlock()
	return a.logins.admitLocked(a, user, session)
}

func (l *Logins[S]) admitLocked(a *Attempt[S], user string, session S) *Login[S] {
	in := &Login[S]{Session: session, network: a.asker.Network, pair: a.pair, user: user}
	l.total++
	add(&l.networks, a.asker.Network, 1)
	l.addLocked(in)
	if p := a.pair; p != nil {
		p.mixed = p.sessions > 0 && (p.mixed || p.user != user)
		p.user = user
		p.sessions++
		l.settleLocked(p)
	}
	return in
}

func (l *Logins[S]) addLocked(in *Login[S]) {
	if in.user == "" {
		return
	}
	u := l.users.Get(in.user)
	if u == nil {
		u = &loginUser[S]{}
		l.users.Set(in.user, u)
	}
	in.at = len(u.logins)
	u.logins = append(u.logins, in)
}

// Leave stops counting the session. It does nothing for a nil Login, or if called again.
func (l *Logins[S]) Leave(in *Login[S]) {
	if in == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaveLocked(in)
	if in.evicted {
		in.evicted = false
		u := l.users.Get(in.user)
		u.evicted--
		l.dropLocked(in.user, u)
	}
}

func (l *Logins[S]) leaveLocked(in *Login[S]) {
	if in.left {
		return
	}
	in.left = true
	l.total--
	add(&l.networks, in.network, -1)
	if in.user != "" {
		u := l.users.Get(in.user)
		last := len(u.logins) - 1
		u.logins[in.at] = u.logins[last]
		u.logins[in.at].at = in.at
		u.logins[last] = nil
		u.logins = u.logins[:last]
		in.candidates.remove(in)
		l.dropLocked(in.user, u)
	}
	if in.pair != nil {
		in.pair.sessions--
		l.settleLocked(in.pair)
	}
}

func (l *Logins[S]) dropLocked(user string, u *loginUser[S]) {
	if len(u.logins) == 0 && u.evicted == 0 {
		l.users.Delete(user)
	}
}
