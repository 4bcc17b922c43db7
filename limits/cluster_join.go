package limits

import (
	"errors"

	"github.com/imapgate/imapgate/internal/admission"
)

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
