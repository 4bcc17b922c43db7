package limits

import (
	"net/netip"
	"time"
)

// A Cluster counts logins for the Limiters of several processes or machines together: package
// redislimits is one. A Limiter asks it for a session whose password was right and that its own
// limits have admitted, so that a stranger neither learns from it nor uses it. It belongs to one
// Limiter, is called from many goroutines at once, and never while a lock is held.
type Cluster interface {
	// Acquire counts a session that logs in. It is all that a login waits for, and returns within
	// some tens of milliseconds, whatever has happened to the other machines. The error is
	//
	//   - nil: the session is counted, until the lease is released.
	//   - [ErrTooManyUserLogins] or [ErrTooManyIPLogins]: so many are logged in on all machines. The
	//     session is not counted and there is no lease, unless the login is Exempt or a DryRun.
	//   - [ErrClusterUnavailable]: the Cluster does not know, and wants the login refused. There is
	//     no lease, as above.
	//   - any other: the Cluster does not know, and the limits of the Limiter alone decide. The
	//     lease lets it count the session later.
	Acquire(login ClusterLogin) (ClusterLease, error)

	// Stats returns what Limiter.Stats says of the Cluster. It does not wait for anything.
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
	Network netip.Prefix // what its address is counted as, see Options.IPKey; zero if nothing

	// The limits of this client, zero for none. Sessions without a limit count against those of
	// others.
	MaxLoginsPerUser, MaxLoginsPerIP int

	Exempt bool // it is counted, but neither refused nor made to wait
	DryRun bool // it is counted, and the error says what would have been refused

	// Replaces are leases of sessions on this machine that have made room for this one. They are
	// given back in the same step, whatever the answer.
	Replaces []ClusterLease

	Info       func() SessionInfo // what the session does now, for a list of all machines' sessions
	Disconnect func(text string)  // ends the session as [Limiter.Disconnect] does
}

// A GuessCluster is a [Cluster] through which wrong passwords delay the checks of their network on
// all machines: see Options.MaxGuessDelay.
type GuessCluster interface {
	Cluster

	// GuessKey returns the key for hashes of names and passwords, which all machines share, so that
	// the same guess again is known on all of them; nil if there is none.
	GuessKey() []byte
	// Hear has tell called for each wrong password on other machines, with how long ago it was, so
	// that an older one does not delay for longer than it should.
	Hear(tell func(network netip.Prefix, guess uint64, ago time.Duration))
	// Guessed tells the other machines of a wrong password. It does not wait for anything.
	Guessed(network netip.Prefix, guess uint64)
	// Connected has what is known of a network told, as somebody has connected from there. It does
	// not wait for anything. It returns a channel that is closed when that is done, or will not be
	// done soon, for which a password check waits; nil if this machine has heard of everything.
	Connected(network netip.Prefix) (known <-chan struct{})
	// Turn is called when a check has waited for as long as wrong passwords from its network say. It
	// returns 0 if no other machine has made one from there for a while, and else how long to wait
	// before the next call. It returns as soon as Acquire does.
	Turn(network netip.Prefix, every time.Duration) (wait time.Duration)
}
