package limits

import (
	"github.com/imapgate/imapgate/internal/clock"
	"strings"
	"time"
)

// Stats returns the current counts. Each is right by itself, but they are not all from the same
// instant.
func (l *Limiter) Stats() Stats {
	s := l.counts.get()
	s.Connections = l.connections.Count()
	s.ConnectionsEnding = l.ending.Count()
	s.Sessions, s.LoginChecks, s.LoginsWaiting = l.logins.Counts()
	_, waiting := l.checks.gate.Counts()
	s.LoginsDelayed = int(l.delayed.Load())
	s.LoginsWaiting += waiting
	s.LoginChecks = max(s.LoginChecks-waiting-s.LoginsDelayed-int(l.joining.Load()), 0)
	s.Fetches, s.FetchesWaiting = l.fetches.gate.Counts()
	s.Searches, s.SearchesWaiting = l.searches.gate.Counts()
	s.Commands, s.CommandsWaiting = l.commands.gate.Counts()
	joined, behind := l.flights.Counts()
	s.SearchesJoined = joined + behind
	if cluster := l.settings.Load().Cluster; cluster != nil {
		s.Cluster = cluster.Stats()
	}
	return s
}

// Sessions returns what each connection is doing, the oldest connection first. Each entry is right
// by itself, but they are not all from the same instant.
func (l *Limiter) Sessions() []SessionInfo {
	sessions := l.sessions.all()
	infos := make([]SessionInfo, len(sessions))
	wall, at := time.Now(), clock.Now()
	for i, s := range sessions {
		infos[i] = s.info(wall, at)
	}
	return infos
}

// info needs the current time of both clocks.
func (s *session) info(wall time.Time, at clock.Instant) SessionInfo {
	identity := s.identity.Load()
	info := SessionInfo{ID: s.id, Addr: s.remote, TLS: identity.tls}
	s.timers.Lock()
	info.LoggedIn, info.Connected, info.Ending = s.loggedIn, s.connected, !s.endsBy.IsZero()
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

// infoOf is info for a session that is logged in as the user, or is about to be.
func (s *session) infoOf(user string) SessionInfo {
	info := s.info(time.Now(), clock.Now())
	info.User, info.LoggedIn = user, true
	return info
}

// Disconnect ends the session with this ID (see [Limiter.Sessions]), whatever it is doing, and
// returns whether there is one. A client that reads gets a BYE with the text; control characters in
// it become spaces. The slots of a running command are released when the backend returns.
func (l *Limiter) Disconnect(id uint64, text string) bool {
	s, ok := l.sessions.find(id)
	if ok {
		s.disconnect(text)
	}
	return ok
}

func (s *session) disconnect(text string) {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	defer func() { // also if OnEvent panics
		s.endWith(errDisconnected, text)
		if s.activity.writing() {
			go s.hangUpBetween(text)
		} else {
			go s.hangUp(text)
		}
	}()
	s.report(Event{Kind: EventDisconnected, User: s.identity.Load().user})
}
