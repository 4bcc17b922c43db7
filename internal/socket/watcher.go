package socket

import (
	"sync"
	"time"
)

// watchInterval is how often a Watcher asks each socket.
const watchInterval = 500 * time.Millisecond

// A Watcher asks sockets twice a second whether their clients have hung up. All are asked by one
// goroutine: a timer and a goroutine for each would cost ten times as much. The zero Watcher is
// ready, and has no timer while it watches nothing. It may be used from several goroutines at once.
type Watcher struct {
	mu      sync.Mutex
	watched map[*Watch]struct{}
	timer   *time.Timer
	looking bool     // a round goes on, and sets the timer when it is over
	round   []*Watch // reused by the next round
}

// A Watch is a socket that is being watched.
type Watch struct {
	watcher *Watcher
	socket  *Socket
	gone    func()
}

// Watch calls gone once, from another goroutine, when the client of the socket has hung up, until
// Stop is called. It returns nil if the socket cannot tell, and then never calls.
func (w *Watcher) Watch(s *Socket, gone func()) *Watch {
	if !s.CanTell() {
		return nil
	}
	watch := &Watch{w, s, gone}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched == nil {
		w.watched = make(map[*Watch]struct{})
	}
	w.watched[watch] = struct{}{}
	switch {
	case len(w.watched) > 1 || w.looking:
	case w.timer == nil:
		w.timer = time.AfterFunc(watchInterval, w.look)
	default:
		w.timer.Reset(watchInterval)
	}
	return watch
}

// Stop ends the watch. It may be called again, and for a nil Watch; a call of gone that has begun
// may still be on its way.
func (watch *Watch) Stop() {
	if watch == nil {
		return
	}
	w := watch.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.watched, watch)
	if len(w.watched) == 0 {
		w.watched = nil // a map keeps its largest size
		w.timer.Stop()
	}
}

// look asks each socket, without the lock.
func (w *Watcher) look() {
	w.mu.Lock()
	w.looking = true
	round := w.round[:0]
	for watch := range w.watched {
		round = append(round, watch)
	}
	w.mu.Unlock()
	for _, watch := range round {
		if watch.socket.HungUp() {
			watch.Stop()
			watch.gone()
		}
	}
	clear(round)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looking, w.round = false, nil
	if len(w.watched) > 0 {
		w.round = round
		w.timer.Reset(watchInterval)
	}
}
