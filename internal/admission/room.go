package admission

import (
	"math"
	"slices"
	"time"
)

// Sweeps of a user with many sessions must not cost more CPU than those of a user with few. So the
// result of a sweep of n sessions is valid for n times sweepCost, and for at least minSweep. A user
// with more than cheapSweep sessions is not swept again during that time. To ask one socket takes a
// fiftieth of sweepCost.
const (
	sweepCost  = 25 * time.Microsecond
	minSweep   = 10 * time.Millisecond
	cheapSweep = 64
)

// A Sweep finds the user's sessions that can make room for new ones: those whose client has hung
// up, whose commands may still run, and silent ones. The first of each list is evicted first.
type Sweep[S any] func(logins []*Login[S]) (hungUp, silent []*Login[S])

// MakeRoom sweeps the sessions of a user at the limit, or waits for a sweep that is running. It
// holds no lock during the sweep. again is true if the sweep may have found a session, so that a
// caller that was refused with UserFull should try once more.
func (l *Logins[S]) MakeRoom(user string, sweep Sweep[S]) (again bool) {
	l.mu.Lock()
	u := l.users.Get(user)
	if u == nil || u.sweeping == nil && u.fresh() && len(u.logins) > cheapSweep {
		l.mu.Unlock()
		return false
	}
	if other := u.sweeping; other != nil {
		l.mu.Unlock()
		<-other
		return true
	}
	u.sweeping = make(chan struct{})
	logins := slices.Clone(u.logins)
	l.mu.Unlock()

	var hungUp, silent []*Login[S]
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		close(u.sweeping)
		u.sweeping, u.swept = nil, time.Now()
		u.found(hungUp, silent)
	}()
	hungUp, silent = sweep(logins)
	return len(hungUp)+len(silent) > 0
}

// found replaces the result of the last sweep.
func (u *loginUser[S]) found(hungUp, silent []*Login[S]) {
	u.hungUp.set(nil) // first, as a session can be in the other list now
	u.silent.set(nil)
	u.hungUp.set(hungUp)
	u.silent.set(silent)
}

// fresh reports whether the result of the last sweep is still valid.
func (u *loginUser[S]) fresh() bool {
	good := max(time.Duration(len(u.logins))*sweepCost, minSweep)
	return !u.swept.IsZero() && time.Since(u.swept) < good
}

// mayGo returns how many sessions of clients that have hung up may be evicted, by the caller's
// limit. Their commands may still run, so no more evicted sessions than the limit may be open at a
// time.
func (u *loginUser[S]) mayGo(c *asker) int {
	return min(u.hungUp.count, c.limits.User-u.evicted)
}

// roomToMakeLocked returns how many more sessions of the user may be logged in if all candidates
// are evicted.
func (l *Logins[S]) roomToMakeLocked(c *asker, user string) int {
	room := l.roomLocked(c, user)
	if room == math.MaxInt {
		return room
	}
	u := l.users.Get(user)
	if u == nil || u.evicted >= c.limits.User || !u.fresh() {
		return room
	}
	return room + u.mayGo(c) + u.silent.count
}

// evictLocked stops counting the user's next session that makes room, and returns it.
func (l *Logins[S]) evictLocked(c *asker, user string) *Login[S] {
	u := l.users.Get(user)
	from := &u.silent
	if u.mayGo(c) > 0 {
		from = &u.hungUp
	}
	in := from.first()
	in.evicted = true
	u.evicted++
	l.leaveLocked(in)
	return in
}

// candidates are sessions that can make room, in the order in which they are evicted. Each may log
// out before that, from any place.
type candidates[S any] struct {
	places []*Login[S] // nil where a session has logged out
	next   int         // there is none before this place
	count  int
}

// set replaces the candidates. Some may have logged out since they were found.
func (c *candidates[S]) set(logins []*Login[S]) {
	for _, in := range c.places {
		c.remove(in)
	}
	c.places, c.next = logins, 0
	for i, in := range logins {
		if in.left {
			logins[i] = nil
			continue
		}
		in.candidates, in.candidateAt = c, i
		c.count++
	}
}

// remove removes the session if it is there.
func (c *candidates[S]) remove(in *Login[S]) {
	if c == nil || in == nil {
		return
	}
	c.places[in.candidateAt] = nil
	c.count--
	in.candidates = nil
}

// first returns the first session. There must be one.
func (c *candidates[S]) first() *Login[S] {
	for c.places[c.next] == nil {
		c.next++
	}
	return c.places[c.next]
}
