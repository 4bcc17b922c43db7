package socket

import "runtime"

// Look makes the watcher check its sockets now, for benchmarks.
func (w *Watcher) Look() {
	w.mu.Lock()
	for w.looking {
		w.mu.Unlock()
		runtime.Gosched()
		w.mu.Lock()
	}
	w.timer.Stop()
	w.mu.Unlock()
	w.look()
}

// LookAgain does what the timer does if it fires during a check.
func (w *Watcher) LookAgain() { w.look() }
