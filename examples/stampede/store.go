package main

import (
	"errors"
	"sync"
	"time"
)

const (
	// workers is how many commands the store works on at once.
	workers = 16
	// readCost is how long a worker is busy with one message.
	readCost = 5 * time.Millisecond
)

var errStoreClosed = errors.New("the store is closed")

// store is what is scarce: workers that serve first come first served, each one command at a time.
// So are disk heads, and the connections to a database.
type store struct {
	busy   chan struct{} // has an entry for each worker that is busy
	closed chan struct{}
}

func newStore() *store {
	return &store{busy: make(chan struct{}, workers), closed: make(chan struct{})}
}

// read has a worker read so many messages.
func (s *store) read(messages int) error {
	select {
	case s.busy <- struct{}{}: // senders that wait are served in their order
	case <-s.closed:
		return errStoreClosed
	}
	defer func() { <-s.busy }()
	select {
	case <-time.After(time.Duration(messages) * readCost):
		return nil
	case <-s.closed:
		return errStoreClosed
	}
}

// close ends all that goes on.
func (s *store) close() { close(s.closed) }

// gauge counts what is inside: now, at most so far, and in all.
type gauge struct {
	mu               sync.Mutex
	now, most, total int
}

func (g *gauge) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now++
	g.total++
	g.most = max(g.most, g.now)
}

func (g *gauge) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now--
}

// count counts what a heavy user does until the returned function is called, and nothing of the
// ordinary user's.
func (g *gauge) count(user string) (end func()) {
	if user == ordinaryUser {
		return func() {}
	}
	g.enter()
	return g.leave
}

func (g *gauge) counts() (now, most, total int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now, g.most, g.total
}
