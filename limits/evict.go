package limits

import (
	"cmp"
	"slices"

	"github.com/imapgate/imapgate/internal/admission"
	"github.com/imapgate/imapgate/internal/clock"
)

const byeEvicted = "[LIMIT] A newer login of this user took the place of this idle session"

// sweep finds the sessions of a user that can make room for a new login: those whose client has
// hung up unnoticed, because a command keeps the server from reading; and, with EvictIdle, those
// that have been silent for that long, the longest first. It asks sockets, so the caller must hold
// no lock.
func sweep(logins []*admission.Login[*session]) (hungUp, silent []*admission.Login[*session]) {
	since := make(map[*admission.Login[*session]]clock.Instant)
	for _, in := range logins {
		s := in.Session
		timeout := s.limiter.settings.Load().EvictIdle
		quiet, idle := s.activity.silentSince()
		switch {
		case s.socket.HungUp():
			hungUp = append(hungUp, in)
		case timeout > 0 && idle && !s.limits.Load().exempt && quiet.Ago() >= timeout:
			silent = append(silent, in)
			since[in] = quiet
		}
	}
	slices.SortFunc(silent, func(a, b *admission.Login[*session]) int {
		return cmp.Compare(since[a], since[b])
	})
	return hungUp, silent
}

// evictAll evicts the sessions, which do not count any more: all of them, also if OnEvent panics.
func evictAll(logins []*admission.Login[*session]) {
	for _, in := range slices.Backward(logins) {
		defer in.Session.evict()
	}
}

// evict ends a session to make room. It does not wait until the session is closed.
func (s *session) evict() {
	defer func() { go s.hangUp(byeEvicted) }()
	most := int64(s.limits.Load().MaxLoginsPerUser)
	s.report(Event{
		Kind: EventEvicted, User: s.identity.Load().user,
		Limit: maxLoginsPerUser.option, Max: maxLoginsPerUser.text(most),
	})
}
