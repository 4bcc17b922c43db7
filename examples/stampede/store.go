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

// store is the scarce resource. Its workers serve first come, first served, each one command at a
// time. Disk heads and the connections to a database are like that.
type store struct {
	busy   chan struct{} // has an entry for each busy worker
	closed chan struct{}
}

func newStore() *store {
	return &store{busy: make(chan struct{}, workers), closed: make(chan struct{})}
}

// read makes a worker read this many messages.
func (s *store) read(messages int) error {
	select {
	case s.busy <- struct{}{}: // waiting senders are served in their order
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

// close stops all reads.
func (s *store) close() { close(s.closed) }

// gauge counts what is inside: the number now, the largest number so far, and the total.
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

// count counts a heavy user as inside until the returned function is called. It does not count the
// ordinary user.
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
