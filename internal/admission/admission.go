// Package admission decides who may go on, who waits and who is turned away. It knows keys, limits
// and a channel that says that a caller is gone; it knows no IMAP, no sockets and no settings.
//
//   - A [Gate] lets callers in, up to a limit for each key and one for all; the others take turns.
//   - A [Counter] counts what each key has, and refuses what is over a limit.
//   - [Logins] decides which logins are worth a password check, and counts who is logged in.
//   - [Flights] let equal work run once at a time, for all who ask for it meanwhile.
//   - A [Table] is a map that gives its memory back.
//
// All of them can change their limits while they are in use, which a semaphore cannot. The zero
// value of each limits nothing. Each may be used from several goroutines at once, and does all it
// does in constant time but for a change of the limits. No callback runs while a lock is held.
package admission

import "time"

// A Reason says why a caller was turned away.
type Reason int

const (
	None        Reason = iota // it was not
	KeyFull                   // its key has as much as it may have
	AllFull                   // all keys together have
	KeyQueue                  // as many callers of its key wait as may
	AllQueue                  // as many callers of all keys wait as may
	EqualRuns                 // equal work was running all the time
	UserFull                  // as many sessions of the user are logged in as may be
	NetworkFull               // as many sessions from the network are
	Exempt                    // none: it need not wait any more
	Closed                    // nothing is let in any more
	Gone                      // the caller is gone
)

// A Refusal says why a caller was turned away, as it was decided under the lock. The zero Refusal
// is none.
type Refusal struct {
	Reason   Reason
	Limit    int           // the value of the limit that was reached; 0 for EqualRuns, Closed and Gone
	Timeout  time.Duration // of EqualRuns: how long the caller could wait
	TimedOut bool          // the caller has waited for as long as it may
}

// Is tells whether there is a refusal.
func (r Refusal) Is() bool { return r.Reason != None }

// isClosed tells whether the channel is closed. A nil channel is not.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
