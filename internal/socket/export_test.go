package socket

import "runtime"

// Look is a look of the watcher, without the timer, for benchmarks.
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

// LookAgain is what the timer does if it goes off during a look.
func (w *Watcher) LookAgain() { w.look() }
