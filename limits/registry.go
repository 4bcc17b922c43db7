package limits

import (
	"sync"

	"github.com/imapgate/imapgate/internal/admission"
)

// registry has the sessions of all connections by their IDs, the oldest first.
type registry[S any] struct {
	mu          sync.Mutex
	first, last *registered[S]
	byID        admission.Table[uint64, *registered[S]]
}

// registered is a session and its neighbors in the list.
type registered[S any] struct {
	session    S
	prev, next *registered[S]
}

func (r *registry[S]) add(id uint64, session S) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := &registered[S]{session: session, prev: r.last}
	r.byID.Set(id, in)
	if r.last != nil {
		r.last.next = in
	} else {
		r.first = in
	}
	r.last = in
}

// remove removes the session, if it is there.
func (r *registry[S]) remove(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.byID.Get(id)
	if in == nil {
		return
	}
	r.byID.Delete(id)
	if in.prev != nil {
		in.prev.next = in.next
	} else {
		r.first = in.next
	}
	if in.next != nil {
		in.next.prev = in.prev
	} else {
		r.last = in.prev
	}
}

func (r *registry[S]) find(id uint64) (session S, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in := r.byID.Get(id); in != nil {
		return in.session, true
	}
	return session, false
}

func (r *registry[S]) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byID.Len()
}

// all returns the current sessions, the oldest first.
func (r *registry[S]) all() []S {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]S, 0, r.byID.Len())
	for in := r.first; in != nil; in = in.next {
		all = append(all, in.session)
	}
	return all
}
