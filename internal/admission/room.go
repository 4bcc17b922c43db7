package admission

import (
	"slices"
	"time"
)

// What a sweep of n sessions has found is good for n times sweepCost, at least for minSweep. There is
// no other one meanwhile, unless there are no more than cheapSweep sessions: so what sweeps cost does
// not grow with the number of logins that ask for one, nor with n. To ask one socket takes a fiftieth
// of sweepCost.
const (
	sweepCost  = 25 * time.Microsecond
	minSweep   = 10 * time.Millisecond
	cheapSweep = 64
)

// A Sweep finds those of a user's sessions that make room for new ones: those whose client has hung
// up, whose commands may still run, and those that are silent, the first to go first.
type Sweep[S any] func(logins []*Login[S]) (hungUp, silent []*Login[S])

// MakeRoom sweeps the sessions of a user at the limit, without a lock, or waits for a sweep that goes
// on. It tells whether anybody may have been found, so that what was refused with UserFull is worth
// trying once more.
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
	u.yield(nil, nil)
	u.sweeping = make(chan struct{})
	logins := slices.Clone(u.logins)
	l.mu.Unlock()

	var hungUp, silent []*Login[S]
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		close(u.sweeping)
		u.sweeping, u.swept = nil, time.Now()
		u.yield(hungUp, silent)
	}()
	hungUp, silent = sweep(logins)
	return len(hungUp)+len(silent) > 0
}

// yield replaces those that make room. Some may have left since they were found.
func (u *loginUser[S]) yield(hungUp, silent []*Login[S]) {
	for _, in := range u.yielding {
		in.yields = false
	}
	left := func(in *Login[S]) bool { return in.left }
	hungUp = slices.DeleteFunc(hungUp, left)
	u.yielding, u.hungUp = append(hungUp, slices.DeleteFunc(silent, left)...), len(hungUp)
	for _, in := range u.yielding {
		in.yields = true
	}
}

// forget takes a session that leaves off those that make room.
func (u *loginUser[S]) forget(in *Login[S]) {
	if !in.yields {
		return
	}
	in.yields = false
	at := slices.Index(u.yielding, in)
	if at < u.hungUp {
		u.hungUp--
	}
	if at == 0 {
		u.yielding = u.yielding[1:]
	} else {
		u.yielding = slices.Delete(u.yielding, at, at+1)
	}
}

// fresh tells whether what the last sweep has found is still good.
func (u *loginUser[S]) fresh() bool {
	good := max(time.Duration(len(u.logins))*sweepCost, minSweep)
	return !u.swept.IsZero() && time.Since(u.swept) < good
}

// yieldingLocked returns the sessions of the user that make room for one of the caller. The commands
// of those whose client has hung up may still run, so that no more of them than the limit may be
// left at a time.
func (l *Logins[S]) yieldingLocked(c *asker, user string) []*Login[S] {
	u := l.users.Get(user)
	if u == nil || len(u.yielding) == 0 || !u.fresh() {
		return nil
	}
	mayLinger := c.limits.User - u.evicted
	switch {
	case mayLinger <= 0:
		return nil
	case u.hungUp <= mayLinger:
		return u.yielding
	default:
		return append(slices.Clone(u.yielding[:mayLinger]), u.yielding[u.hungUp:]...)
	}
}

// roomToMakeLocked returns how many more sessions of the user may be logged in if all those go that
// make room.
func (l *Logins[S]) roomToMakeLocked(c *asker, user string) int {
	return l.roomLocked(c, user) + len(l.yieldingLocked(c, user))
}
