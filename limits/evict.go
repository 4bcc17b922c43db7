package limits

import (
	"cmp"
	"slices"

	"github.com/imapgate/imapgate/internal/admission"
)

const byeEvicted = "[LIMIT] A newer login of this user took the place of this idle session"

// sweep finds the sessions of a user that make room for a new login: those whose client has hung up
// while a command keeps the server from seeing it, and, with EvictIdle, those that have been silent
// for so long, the longest first. It asks their sockets, so no lock is held.
func sweep(logins []*admission.Login[*session]) (hungUp, silent []*admission.Login[*session]) {
	since := make(map[*admission.Login[*session]]instant)
	for _, in := range logins {
		s := in.Session
		timeout := s.limiter.settings.Load().EvictIdle
		quiet, idle := s.activity.silentSince()
		switch {
		case s.socket.HungUp():
			hungUp = append(hungUp, in)
		case timeout > 0 && idle && !s.limits.Load().exempt && quiet.ago() >= timeout:
			silent = append(silent, in)
			since[in] = quiet
		}
	}
	slices.SortFunc(silent, func(a, b *admission.Login[*session]) int {
		return cmp.Compare(since[a], since[b])
	})
	return hungUp, silent
}

// evict ends a session that has had to make room. It does not wait for it.
func (s *session) evict() {
	most := int64(s.limits.Load().MaxLoginsPerUser)
	s.report(Event{
		Kind: EventEvicted, User: s.identity.Load().user,
		Limit: maxLoginsPerUser.option, Max: maxLoginsPerUser.text(most),
	})
	go s.hangUp(byeEvicted)
}
