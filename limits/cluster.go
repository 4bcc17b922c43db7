package limits

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/imapgate/imapgate/internal/admission"
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

// ClusterStats is how a [Cluster] is.
type ClusterStats struct {
	Leases int    // sessions of this machine that it has counted
	Errors uint64 // calls of its store that have failed or taken too long
	Down   bool   // the store is known not to answer, and logins do not ask it
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

// lease holds what a session has of a cluster. Who evicts a session takes it away from it.
type lease struct{ held atomic.Pointer[ClusterLease] }

func (l *lease) set(held ClusterLease) {
	if held != nil {
		l.held.Store(&held)
	}
}

// take returns the lease, which is the caller's from now on; nil if there is none.
func (l *lease) take() ClusterLease {
	if held := l.held.Swap(nil); held != nil {
		return *held
	}
	return nil
}

func (l *lease) release() {
	if held := l.take(); held != nil {
		held.Release()
	}
}

// joining is a login that the limiter has admitted, and that its cluster is asked for.
type joining struct {
	session *session
	command string
	attempt *attempt
	user    string
	evicted []*admission.Login[*session] // by the limiter, to make room for it
	told    bool                         // that it would have been refused, without DryRun
}

// join asks the cluster, if there is one. It returns the answer to a login that is refused, whose
// place in the limiter it gives back.
func (j *joining) join() error {
	s := j.session
	cluster := s.limiter.settings.Load().Cluster
	if cluster == nil {
		return nil
	}
	held, err := cluster.Acquire(j.login())
	if held == nil && errors.Is(err, ErrTooManyUserLogins) && j.makeRoom() {
		held, err = cluster.Acquire(j.login())
	}
	s.lease.set(held)
	r, undecided := j.refusal(err)
	if undecided {
		s.limiter.counts.add(func(s *Stats) *uint64 { return &s.Total.Undecided })
	}
	exempt := s.limits.Load().exempt
	if r.limit == nil || j.told || exempt || !s.refuse(Event{Command: j.command, User: j.user}, r) {
		return nil
	}
	s.lease.release()
	s.limiter.logins.Leave(s.login)
	s.login = nil
	return s.endLogin(r.answer())
}

func (j *joining) login() ClusterLogin {
	s := j.session
	limits := s.limits.Load()
	login := ClusterLogin{
		User: j.user, Network: s.ip,
		MaxLoginsPerUser: limits.MaxLoginsPerUser, MaxLoginsPerIP: limits.MaxLoginsPerIP,
		Exempt: limits.exempt, DryRun: s.dryRun(),
		Info:       func() SessionInfo { return s.infoOf(j.user) },
		Disconnect: s.disconnect,
	}
	for _, older := range j.evicted {
		if held := older.Session.lease.take(); held != nil {
			login.Replaces = append(login.Replaces, held)
		}
	}
	return login
}

// makeRoom gives the session the place of another one of the user on this machine, if one makes
// room. Else the session has no place any more.
func (j *joining) makeRoom() bool {
	s, logins := j.session, &j.session.limiter.logins
	logins.Leave(s.login) // it must not make room for itself
	s.login = nil
	if !logins.MakeRoom(j.user, sweep) {
		return false
	}
	in, older := j.attempt.AdmitInstead(j.user, s)
	if in == nil {
		return false
	}
	s.login, j.evicted = in, []*admission.Login[*session]{older}
	older.Session.evict()
	return true
}

// refusal returns what the cluster says as a refusal, and whether it did not know.
func (j *joining) refusal(err error) (r refusal, undecided bool) {
	limits := j.session.limits.Load()
	switch {
	case err == nil:
		return refusal{}, false
	case errors.Is(err, ErrTooManyUserLogins):
		return refusal{limit: maxLoginsPerUser, value: int64(limits.MaxLoginsPerUser)}, false
	case errors.Is(err, ErrTooManyIPLogins):
		return refusal{limit: maxLoginsPerIP, value: int64(limits.MaxLoginsPerIP)}, false
	case errors.Is(err, ErrClusterUnavailable):
		return refusal{limit: clusterUnavailable}, true
	default:
		return refusal{}, true
	}
}

// infoOf is info for a session that is logged in as the user, or about to be.
func (s *session) infoOf(user string) SessionInfo {
	info := s.info(time.Now(), now())
	info.User, info.LoggedIn = user, true
	return info
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
