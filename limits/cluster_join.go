package limits

import (
	"errors"

	"github.com/imapgate/imapgate/internal/admission"
)

// joining is a login that the limiter has let in, and that the cluster has yet to count.
type joining struct {
	session *session
	command string
	attempt *attempt
	user    string
	evicted []*admission.Login[*session] // sessions that the limiter has evicted to make room
	told    bool                         // it was already reported as refused, but for DryRun
}

// join asks the cluster, if there is one. The check is over, so others may use its slot meanwhile.
// If the cluster refuses the login, join gives back its place in the limiter and returns the answer
// for the client.
func (j *joining) join() error {
	s := j.session
	cluster := s.limiter.settings.Load().Cluster
	if cluster == nil {
		return nil
	}
	j.attempt.endCheck()
	s.limiter.joining.Add(1)
	defer s.limiter.joining.Add(-1)
	held, err := j.acquire(cluster)
	if held == nil && errors.Is(err, ErrTooManyUserLogins) && j.makeRoom() {
		held, err = j.acquire(cluster)
	}
	s.lease.set(held)
	r, undecided := j.refusal(err)
	if undecided {
		s.limiter.counts.add(func(s *Stats) *uint64 { return &s.Total.Undecided })
	}
	exempt := s.limits.Load().exempt
	if r.limit == nil || j.told || exempt || !s.refuse(Event{Command: j.command, User: j.user}, r) {
		if s.login == nil { // it lost its place before DryRun was switched on
			s.login = j.attempt.AdmitAnyway(j.user, s)
		}
		return nil
	}
	s.lease.release()
	s.limiter.logins.Leave(s.login)
	s.login = nil
	return s.endLogin(r.answer())
}

// acquire asks the cluster. If the cluster panics, acquire releases the leases that the login
// replaces, as their sessions do not have them any more.
func (j *joining) acquire(cluster Cluster) (held ClusterLease, err error) {
	login, answered := j.login(), false
	defer func() {
		if !answered {
			for _, older := range login.Replaces {
				defer older.Release()
			}
		}
	}()
	held, err = cluster.Acquire(login)
	answered = true
	return held, err
}

func (j *joining) login() ClusterLogin {
	s := j.session
	limits := s.limits.Load()
	login := ClusterLogin{
		User: j.user, Network: s.ip,
		MaxLoginsPerUser: limits.MaxLoginsPerUser, MaxLoginsPerIP: limits.MaxLoginsPerIP,
		Exempt: limits.exempt, DryRun: s.dryRun(),
		Info: func() SessionInfo { return s.infoOf(j.user) },
		Disconnect: func(text string) {
			defer s.catchPanic() // the cluster may call it from a goroutine of its own
			s.disconnect(text)
		},
	}
	for _, older := range j.evicted {
		if held := older.Session.lease.take(); held != nil {
			login.Replaces = append(login.Replaces, held)
		}
	}
	return login
}

// makeRoom gives the session the place of another one of the user on this machine, if one can be
// evicted. Otherwise the session loses its own place, too.
func (j *joining) makeRoom() bool {
	s, logins := j.session, &j.session.limiter.logins
	logins.Leave(s.login) // so that it cannot be evicted for itself
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

// refusal returns the cluster's error as a refusal. undecided is true if the cluster could not
// know.
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
