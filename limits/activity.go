package limits

import (
	"sync"

	"github.com/imapgate/imapgate/internal/clock"
)

// activity is what a connection is doing. A connection runs one command at a time. An IDLE can run
// beside it, if the client stopped that IDLE with something other than DONE.
type activity struct {
	mu      sync.Mutex
	command string        // "" if none
	waiting bool          // for a slot
	since   clock.Instant // when the command or, without one, the silence began
	idling  int

	// For the stall watch, while a command runs: how many bytes the client had taken or sent when it
	// last moved enough of them, and when that was.
	moved      uint64
	movedSince clock.Instant
}

// begin notes that a command has arrived, and returns the time.
func (a *activity) begin(command string) clock.Instant {
	now := clock.Now()
	a.mu.Lock()
	a.command, a.since = command, now
	a.moved, a.movedSince = 0, now
	a.mu.Unlock()
	return now
}

// finish notes that the command is over.
func (a *activity) finish() {
	now := clock.Now()
	a.mu.Lock()
	a.command, a.since = "", now
	a.mu.Unlock()
}

// setWaiting notes whether the command waits for a slot. The time of a wait does not count as a
// stall.
func (a *activity) setWaiting(waiting bool) {
	now := clock.Now()
	a.mu.Lock()
	a.waiting, a.movedSince = waiting, now
	a.mu.Unlock()
}

// waits reports whether a command waits for a slot.
func (a *activity) waits() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waiting
}

// addIdle notes that an IDLE begins (1) or is over (-1).
func (a *activity) addIdle(n int) {
	now := clock.Now()
	a.mu.Lock()
	a.idling += n
	a.since = now
	a.mu.Unlock()
}

// silentSince returns when the client's silence began. ok is false while a command runs; IDLE is
// one too.
func (a *activity) silentSince() (since clock.Instant, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.since, a.command == "" && a.idling == 0
}

// writing reports whether a command may be writing to the client now.
func (a *activity) writing() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.command != "" && !a.waiting
}
