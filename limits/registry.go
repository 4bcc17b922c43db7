package limits

import (
	"sync"

	"github.com/imapgate/imapgate/internal/admission"
)

// registry holds the sessions of all connections, the oldest first.
type registry struct {
	mu          sync.Mutex
	first, last *session
	sessions    admission.Table[uint64, *session]
}

func (r *registry) add(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions.Set(s.id, s)
	s.prev, s.next = r.last, nil
	if r.last != nil {
		r.last.next = s
	} else {
		r.first = s
	}
	r.last = s
}

// remove removes the session, if it is there.
func (r *registry) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions.Get(s.id) != s {
		return
	}
	r.sessions.Delete(s.id)
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		r.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		r.last = s.prev
	}
	s.prev, s.next = nil, nil
}

func (r *registry) find(id uint64) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions.Get(id)
}

func (r *registry) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions.Len()
}

// all returns the sessions of now, the oldest first.
func (r *registry) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*session, 0, r.sessions.Len())
	for s := r.first; s != nil; s = s.next {
		all = append(all, s)
	}
	return all
}
