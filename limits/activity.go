package limits

import (
	"sync"
	"time"
)

// activity is what a connection is doing. It runs one command at once, and IDLE beside it when the
// client breaks that off with something else than DONE.
type activity struct {
	mu      sync.Mutex
	command string  // "" if none
	waiting bool    // for a slot
	since   instant // of command or, if there is none, of silence
	idling  int

	// For the stall watch, while a command runs: how many bytes the client had taken or
	// sent when it was last enough, and when that was.
	moved      uint64
	movedSince instant
}

// An instant is a time since the program began. To read it takes half of what time.Now takes, which
// reads the clock of the wall, too.
type instant time.Duration

var programBegan = time.Now()

func now() instant { return instant(time.Since(programBegan)) }

// ago returns how long ago it is.
func (i instant) ago() time.Duration { return time.Duration(now() - i) }

// begin notes that the command has come.
func (a *activity) begin(command string) {
	now := now()
	a.mu.Lock()
	a.command, a.since = command, now
	a.moved, a.movedSince = 0, now
	a.mu.Unlock()
}

// finish notes that the command is over.
func (a *activity) finish() {
	now := now()
	a.mu.Lock()
	a.command, a.since = "", now
	a.mu.Unlock()
}

// setWaiting notes whether the command waits for a slot. Nobody has stalled meanwhile.
func (a *activity) setWaiting(waiting bool) {
	now := now()
	a.mu.Lock()
	a.waiting, a.movedSince = waiting, now
	a.mu.Unlock()
}

// waits tells whether a command waits for a slot.
func (a *activity) waits() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waiting
}

// addIdle notes that an IDLE begins (1) or is over (-1).
func (a *activity) addIdle(n int) {
	now := now()
	a.mu.Lock()
	a.idling += n
	a.since = now
	a.mu.Unlock()
}

// silentSince returns since when the client has not sent a command; ok is false while one runs,
// IDLE among them.
func (a *activity) silentSince() (since instant, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.since, a.command == "" && a.idling == 0
}

// writing tells whether a command may be writing to the client now.
func (a *activity) writing() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.command != "" && !a.waiting
}
