package limits

import (
	"net/netip"
	"time"
)

// A Cluster counts the logins of Limiters in several processes or on several machines together;
// package redislimits has one. A Limiter calls it only after the password was right and its own
// limits have let the login in, so a stranger learns nothing from it and cannot use it up.
//
// A Cluster belongs to one Limiter. It is called from many goroutines at once, and never while a
// lock is held.
type Cluster interface {
	// Acquire counts a session that logs in. The login waits for it, so it returns within some tens of
	// milliseconds, whatever has happened to the other machines. The error is
	//
	//   - nil: the session is counted until the lease is released.
	//   - [ErrTooManyUserLogins] or [ErrTooManyIPLogins]: the limit is reached over all machines. The
	//     session is not counted and there is no lease, unless the login is Exempt or a DryRun.
	//   - [ErrClusterUnavailable]: the Cluster cannot know, and wants the login refused. There is no
	//     lease, with the same exceptions.
	//   - any other: the Cluster cannot know, and the limits of the Limiter alone decide. The lease
	//     lets the Cluster count the session later.
	Acquire(login ClusterLogin) (ClusterLease, error)

	// Stats returns the Cluster's part of Limiter.Stats. It does not wait for anything.
	Stats() ClusterStats
}

// A ClusterLease is the place of one session in a [Cluster].
type ClusterLease interface {
	// Release gives the place back. It does not wait for anything, and a second call does nothing.
	Release()
}

// A ClusterLogin is a session that logs in.
type ClusterLogin struct {
	User    string       // the user's key, see Options.UserKey; "" if not known
	Network netip.Prefix // what its address is counted as, see Options.IPKey; zero if not counted

	// The limits of this client; zero means no limit. A session without a limit still counts against
	// the limits of others.
	MaxLoginsPerUser, MaxLoginsPerIP int

	Exempt bool // counted, but never refused and never made to wait
	DryRun bool // counted, and the error says what would have been refused

	// Replaces are the leases of sessions on this machine that made room for this one; some may be of
	// an earlier Cluster. They are released in the same step, whatever the answer is.
	Replaces []ClusterLease

	Info       func() SessionInfo // what the session is doing, for a list of all machines' sessions
	Disconnect func(text string)  // ends the session, as [Limiter.Disconnect] does
}

// A GuessCluster is a [Cluster] that shares wrong passwords: they delay password checks from their
// network on all machines. See Options.MaxGuessDelay.
type GuessCluster interface {
	Cluster

	// GuessKey returns the key with which names and passwords are hashed. All machines share it, so
	// they recognize a guess that is repeated on another machine. It is nil if there is none.
	GuessKey() []byte
	// Hear sets the function that is called for each wrong password on another machine, in place of an
	// earlier one: it is called at each SetOptions. ago is the age of the wrong password, so that an
	// old one does not delay for too long.
	Hear(tell func(network netip.Prefix, guess uint64, ago time.Duration))
	// Guessed sends a wrong password to the other machines. It does not wait for anything.
	Guessed(network netip.Prefix, guess uint64)
	// Connected is called when a client connects from the network. What other machines know of the
	// network then goes to the function that Hear registered. Connected does not wait, but a password
	// check waits until known is closed, or for 5 s. Close it when all is known, or will not be known
	// soon. The channel is nil if this machine already knows everything.
	Connected(network netip.Prefix) (known <-chan struct{})
	// Turn is called when a check has waited as long as wrong passwords from its network demand. It
	// returns 0 if no other machine has made a check from there recently, otherwise how long to wait
	// before the next call. It returns as quickly as Acquire.
	Turn(network netip.Prefix, every time.Duration) (wait time.Duration)
}
