package limits

import (
	"maps"
	"slices"
	"sync"
)

// registry holds the sessions of all connections.
type registry struct {
	mu       sync.Mutex
	sessions table[*session, struct{}]
}

func (r *registry) add(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions.set(s, struct{}{})
}

func (r *registry) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions.delete(s)
}

// all returns the sessions of now, in no order.
func (r *registry) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.sessions.entries))
}
