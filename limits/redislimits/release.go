package redislimits

import "time"

// mayCount notes whether Redis may count a lease that is not held yet. Those that it does not count
// need not be given back.
func (l *leases) mayCount(in *lease, may bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in.sent = may
}

// release stops renewing a lease, and returns whether it was not released before.
func (l *leases) release(in *lease) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if in.released {
		return false
	}
	in.released, in.since = true, time.Now()
	if in.sent {
		l.released = append(l.released, in)
		l.leaveLocked(in)
	}
	if in.joined != nil {
		l.joined.Remove(in.joined)
		in.joined = nil
	}
	if in.coming {
		in.page.coming--
		in.coming = false
	}
	if in.at >= 0 {
		l.dropLocked(in)
	}
	l.roomLocked(in.page)
	return true
}

// dropLocked removes a lease from its page.
func (l *leases) dropLocked(in *lease) {
	p := in.page
	last := len(p.leases) - 1
	p.leases[in.at] = p.leases[last]
	p.leases[in.at].at = in.at
	p.leases[last] = nil
	p.leases = p.leases[:last]
	in.at = -1
	l.total--
	if l.sessions[in.session] == in {
		delete(l.sessions, in.session)
	}
}

// leaveLocked notes that Redis may still count the lease.
func (l *leases) leaveLocked(in *lease) {
	if l.leaving == nil {
		l.leaving = make(map[string]map[*lease]struct{})
	}
	for _, set := range in.sets {
		if l.leaving[set] == nil {
			l.leaving[set] = make(map[*lease]struct{})
		}
		l.leaving[set][in] = struct{}{}
	}
}

// left notes that Redis does not count the leases any more.
func (l *leases) left(all []*lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, in := range all {
		for _, set := range in.sets {
			delete(l.leaving[set], in)
			if len(l.leaving[set]) == 0 {
				delete(l.leaving, set)
			}
		}
	}
}

// addLeaving adds the names of leases that are about to be given back and count in the sets of this
// one: a session that has ended must not take the place of the next one of its user.
func (l *leases) addLeaving(names []string, in *lease) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, set := range in.sets {
		n := 0
		for older := range l.leaving[set] {
			if n++; n > maxPage {
				break
			}
			names = append(names, older.name)
		}
	}
	return names
}

// Release gives the lease back: the worker informs Redis.
func (in *lease) Release() {
	if in.cluster.held.release(in) {
		in.cluster.poke()
	}
}

// takeReleased removes and returns up to that many leases that must be given back.
func (l *leases) takeReleased(most int) []*lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(most, len(l.released))
	taken := l.released[:n:n]
	l.released = l.released[n:]
	if len(l.released) == 0 {
		l.released = nil
	}
	return taken
}

// keepReleased puts back leases that Redis did not take, except those that have ended.
func (l *leases) keepReleased(taken []*lease, ended time.Time) {
	var kept, gone []*lease
	for _, in := range taken {
		if in.since.After(ended) {
			kept = append(kept, in)
		} else {
			gone = append(gone, in)
		}
	}
	l.left(gone)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released = append(kept, l.released...)
}

// releaseAll releases all that is held.
func (l *leases) releaseAll() {
	l.mu.Lock()
	var all []*lease
	for _, in := range l.sessions {
		all = append(all, in)
	}
	l.mu.Unlock()
	for _, in := range all {
		l.release(in)
	}
}
