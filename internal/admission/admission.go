// Package admission decides which callers go on, which wait, and which are refused. It knows keys,
// limits, and a channel that says that a caller is gone. It knows no IMAP, no sockets and no
// settings.
//
//   - A [Gate] lets callers in, up to a limit for each key and one for all; the others take turns.
//   - [Keys] are the keys of gates, each for as long as somebody holds it.
//   - A [Counter] counts what each key has, and refuses what is over a limit.
//   - [Logins] decides which logins are worth a password check, and counts logged-in sessions.
//   - [Guesses] delays the networks from which somebody guesses passwords.
//   - [Flights] runs equal work only once at a time, for all callers that ask for it meanwhile.
//   - A [Table] is a map that gives its memory back.
//
// Limits can change while they are in use, which a semaphore cannot do. The zero value of each type
// limits nothing. All types but Table are safe for concurrent use. Each operation takes constant
// time, except a change of the limits. No callback runs while a lock is held.
package admission

import "time"

// A Reason says why a caller was refused.
type Reason int

const (
	None        Reason = iota // it was not refused
	KeyFull                   // the key has reached its limit
	AllFull                   // all keys together have reached the limit
	KeyQueue                  // the queue of the key is full
	AllQueue                  // the queue of all keys is full
	EqualRuns                 // equal work ran for the whole wait
	UserFull                  // the user has reached the limit on sessions
	NetworkFull               // the network has reached the limit on sessions
	Exempt                    // not a refusal: the caller need not wait any more
	Closed                    // nobody is let in any more
	Gone                      // the caller is gone
)

// A Refusal says why a caller was refused, as decided under the lock. The zero Refusal means none.
type Refusal struct {
	Reason   Reason
	Limit    int           // the value of the limit that was reached; 0 for EqualRuns, Closed and Gone
	Timeout  time.Duration // for EqualRuns: how long the caller could wait
	TimedOut bool          // the caller has waited as long as it may
}

// Is reports whether there is a refusal.
func (r Refusal) Is() bool { return r.Reason != None }

// isClosed reports whether the channel is closed. A nil channel is not.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
