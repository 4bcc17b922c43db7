package admission

import (
	"slices"
	"time"
)

// loginUser is what there is of one user: sessions, and those that would make room for another one.
type loginUser[S any] struct {
	logins  []*Login[S]
	evicted int // sessions that had to leave, and still run a command

	yielding []*Login[S]   // as the last sweep found them, the first to go first
	hungUp   int           // how many of those are of clients that have hung up
	swept    time.Time     // when that was
	sweeping chan struct{} // closed when the sweep is over that goes on; nil if there is none
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

	attempt *Attempt[S]
	user    string
	at      int // in loginUser.logins
	left    bool
	yields  bool // it is in loginUser.yielding
	evicted bool
}

// Admit counts the session as logged in as the user, who is known to be who it says: as the attempt
// has it, or as the caller knows better. Other sessions of the user that have to make room for it
// are returned as evicted, and do not count any more: several after the limit has gone down. A
// caller that forces its login in evicts nobody.
//
// The refusal is Closed, NetworkFull or UserFull, and then nothing is counted.
func (a *Attempt[S]) Admit(
	user string, session S,
) (in *Login[S], evicted []*Login[S], refusal Refusal) {
	l := a.logins
	limits := a.asker.Limits()
	l.mu.Lock()
	defer l.mu.Unlock()
	a.asker.limits = limits
	if refusal = l.refusalLocked(&a.asker, user); refusal.Is() {
		return nil, nil, refusal
	}
	if room := l.roomLocked(&a.asker, user); room <= 0 && !limits.Force {
		evicted = slices.Clone(l.yieldingLocked(&a.asker, user)[:1-room])
		for _, older := range evicted {
			older.evicted = true
			l.users.Get(user).evicted++
			l.leaveLocked(older)
		}
	}
	return l.admitLocked(a, user, session), evicted, Refusal{}
}

// AdmitAnyway is Admit for a session that is counted whatever the limits.
func (a *Attempt[S]) AdmitAnyway(user string, session S) *Login[S] {
	a.logins.mu.Lock()
	defer a.logins.mu.Unlock()
	return a.logins.admitLocked(a, user, session)
}

func (l *Logins[S]) admitLocked(a *Attempt[S], user string, session S) *Login[S] {
	in := &Login[S]{Session: session, user: user, attempt: a}
	l.total++
	add(&l.networks, a.asker.Network, 1)
	l.addLocked(in)
	if p := a.pair; p != nil {
		p.mixed = p.sessions > 0 && (p.mixed || p.user != user)
		p.user = user
		p.sessions++
		l.settleLocked(a.key(), p)
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

// Leave takes the session off the count. A second call does nothing, nor does one for a nil Login.
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
	a := in.attempt
	add(&l.networks, a.asker.Network, -1)
	if in.user != "" {
		u := l.users.Get(in.user)
		last := len(u.logins) - 1
		u.logins[in.at] = u.logins[last]
		u.logins[in.at].at = in.at
		u.logins[last] = nil
		u.logins = u.logins[:last]
		u.forget(in)
		l.dropLocked(in.user, u)
	}
	if a.pair != nil {
		a.pair.sessions--
		l.settleLocked(a.key(), a.pair)
	}
}

func (l *Logins[S]) dropLocked(user string, u *loginUser[S]) {
	if len(u.logins) == 0 && u.evicted == 0 {
		l.users.Delete(user)
	}
}
