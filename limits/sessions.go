package limits

import (
	"net/netip"
	"strings"
	"time"
)

// SessionInfo is what one connection holds and waits for.
type SessionInfo struct {
	ID        uint64         // unique in the Limiter, and larger for later connections
	User      string         // the user's key; "" if nobody is logged in, or the user is not known
	Addr      netip.AddrPort // the client's; the zero AddrPort if the connection has none
	TLS       bool
	LoggedIn  bool
	Ending    bool      // it was refused, and is not closed yet
	Connected time.Time // or since UNAUTHENTICATE
	Command   string    // what runs or waits, such as FETCH, or IDLE; "" if nothing
	Waiting   bool      // for a slot, or for the answer to an equal SEARCH
	Since     time.Time // of Command or, if that is "", of silence
}

// Sessions returns what every connection does now, the oldest connection first. Each is right by
// itself, but they are not taken at the same instant.
func (l *Limiter) Sessions() []SessionInfo {
	sessions := l.sessions.all()
	infos := make([]SessionInfo, len(sessions))
	wall, at := time.Now(), now()
	for i, s := range sessions {
		infos[i] = s.info(wall, at)
	}
	return infos
}

// info needs the time of now on both clocks.
func (s *session) info(wall time.Time, at instant) SessionInfo {
	identity := s.identity.Load()
	info := SessionInfo{ID: s.id, Addr: s.remote, TLS: identity.tls, Ending: !s.endsBy.IsZero()}
	s.timers.Lock()
	info.LoggedIn, info.Connected = s.loggedIn, s.connected
	s.timers.Unlock()
	if info.LoggedIn {
		info.User = identity.user
	}
	a := &s.activity
	a.mu.Lock()
	defer a.mu.Unlock()
	info.Command, info.Waiting = a.command, a.waiting
	info.Since = wall.Add(time.Duration(a.since - at))
	if info.Command == "" && a.idling > 0 {
		info.Command = "IDLE"
	}
	return info
}

// Disconnect ends the session with this ID of [Limiter.Sessions], whatever it does, and tells
// whether there is one. Its client reads a BYE with the text, in which control characters become
// spaces, if it reads at all. What its command holds comes back when the backend returns.
func (l *Limiter) Disconnect(id uint64, text string) bool {
	s := l.sessions.find(id)
	if s == nil {
		return false
	}
	s.disconnect(text)
	return true
}

func (s *session) disconnect(text string) {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	s.report(Event{Kind: EventDisconnected, User: s.identity.Load().user})
	s.endWith(errDisconnected, text)
	if s.activity.writing() {
		go s.hangUpBetween(text)
	} else {
		go s.hangUp(text)
	}
}
