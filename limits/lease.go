package limits

import "sync/atomic"

// lease holds a session's place in a cluster. Evicting a session takes the place away from it.
type lease struct{ held atomic.Pointer[ClusterLease] }

func (l *lease) set(held ClusterLease) {
	if held != nil {
		l.held.Store(&held)
	}
}

// take returns the lease, which then belongs to the caller; nil if there is none.
func (l *lease) take() ClusterLease {
	if held := l.held.Swap(nil); held != nil {
		return *held
	}
	return nil
}

func (l *lease) release() {
	if held := l.take(); held != nil {
		held.Release()
	}
}
