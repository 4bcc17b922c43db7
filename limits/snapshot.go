package limits

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// SessionInfo is what one connection holds and waits for.
type SessionInfo struct {
	User      string     // the user's key; "" if nobody is logged in, or the user is not known
	Addr      netip.Addr // the zero Addr if the connection has none
	TLS       bool
	LoggedIn  bool
	Connected time.Time // or since UNAUTHENTICATE
	Command   string    // the one that runs or waits (FETCH, SEARCH, LIST, SELECT and so on, and IDLE), "" if none
	Waiting   bool      // for a slot, or for the answer to an identical SEARCH
	Since     time.Time // of Command or, if that is "", of silence
}

// Sessions returns what every connection does now, the oldest connection first. Each is right by
// itself, but they are not taken at the same instant.
func (l *Limiter) Sessions() []SessionInfo {
	sessions := l.sessions.all()
	infos := make([]SessionInfo, len(sessions))
	for i, s := range sessions {
		infos[i] = s.info()
	}
	slices.SortFunc(infos, func(a, b SessionInfo) int {
		return cmp.Or(
			a.Connected.Compare(b.Connected), a.Addr.Compare(b.Addr), cmp.Compare(a.User, b.User),
		)
	})
	return infos
}

func (s *session) info() SessionInfo {
	identity := s.identity.Load()
	info := SessionInfo{Addr: s.addr, TLS: identity.tls}
	s.timers.Lock()
	info.LoggedIn, info.Connected = s.loggedIn, s.connected
	s.timers.Unlock()
	if info.LoggedIn {
		info.User = identity.user
	}
	a := &s.activity
	a.mu.Lock()
	defer a.mu.Unlock()
	info.Command, info.Waiting, info.Since = a.command, a.waiting, a.since
	if info.Command == "" && a.idling > 0 {
		info.Command = "IDLE"
	}
	return info
}
