package socket

import (
	"slices"
	"sync"
	"time"
)

// watchInterval is how often a Watcher asks each socket.
const watchInterval = 500 * time.Millisecond

// A Watcher asks sockets twice a second whether their clients have hung up. One goroutine asks them
// all, many at a time; a timer and a system call for each would cost ten times as much. The zero
// Watcher is ready, and has no timer while it watches nothing. It is safe for concurrent use.
type Watcher struct {
	mu      sync.Mutex
	watched map[*Watch]struct{}
	timer   *time.Timer
	looking bool     // a check is running; it sets the timer when it is over
	spare   []*Watch // for the next check
	poll    poll     // of the running check
}

// A Watch is a socket that is being watched.
type Watch struct {
	watcher *Watcher
	socket  *Socket
	gone    func()
}

// Watch calls gone once, from another goroutine, when the client of the socket has hung up, unless
// Stop is called before. If the socket cannot know that, Watch returns nil, and gone is never
// called.
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

// Stop ends the watch. gone is not called afterwards, but a call that has begun may still be
// running. Stop may be called again, and for a nil Watch.
func (watch *Watch) Stop() {
	if watch != nil {
		watch.watcher.forget(watch)
	}
}

// forget ends the watch, and returns whether it was still active.
func (w *Watcher) forget(watch *Watch) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.watched[watch]; !ok {
		return false
	}
	delete(w.watched, watch)
	if len(w.watched) == 0 {
		w.watched = nil // a map keeps its largest size
		w.timer.Stop()
	}
	return true
}

// look asks all sockets, without the lock.
func (w *Watcher) look() {
	w.mu.Lock()
	if w.looking {
		w.mu.Unlock() // the last watch was stopped when the timer had fired, then another began
		return
	}
	w.looking = true
	watches := w.spare
	for watch := range w.watched {
		watches = append(watches, watch)
	}
	w.mu.Unlock()

	for some := range slices.Chunk(watches, pollSize) {
		for _, watch := range w.poll.hungUp(some) {
			if w.forget(watch) {
				watch.gone()
			}
		}
	}

	clear(watches)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looking, w.spare = false, nil
	if len(w.watched) > 0 {
		w.spare = watches[:0]
		w.timer.Reset(watchInterval)
	}
}
