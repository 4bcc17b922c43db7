package limits

import (
	"slices"
	"time"
)

const byeEvicted = "[LIMIT] A newer login of this user took the place of this idle session"

// evictableLocked returns the sessions of the user that give way to one of the client, the first to
// go first: those whose client has hung up while a command keeps the server from seeing it, then,
// with EvictIdle, those that have been silent for so long, the longest first. Their commands may
// still run at the backend, so that of those who left no more than MaxLoginsPerUser may linger.
//
// It is asked for a login only after the password was found right or from an address that has a
// session of the user; and a session that is only silent goes only in admit, for a right password.
func (l *logins) evictableLocked(c *client, user string) []*session {
	mayLinger := c.limits.Load().MaxLoginsPerUser - l.evicted.get(user)
	if mayLinger <= 0 {
		return nil
	}
	var ghosts, silent []*session
	quiet := make(map[*session]time.Time)
	for _, s := range l.users.get(user) {
		evictIdle := s.limiter.settings.Load().EvictIdle
		since, idle := s.activity.silentSince()
		switch {
		case s.socket.hungUp():
			ghosts = append(ghosts, s)
		case evictIdle > 0 && idle && !s.limits.Load().exempt && time.Since(since) >= evictIdle:
			silent = append(silent, s)
			quiet[s] = since
		}
	}
	slices.SortFunc(silent, func(a, b *session) int { return quiet[a].Compare(quiet[b]) })
	return append(ghosts[:min(len(ghosts), mayLinger)], silent...)
}

// roomToMakeLocked returns how many more sessions of the user may be logged in if all those go that
// give way.
func (l *logins) roomToMakeLocked(c *client, user string) int {
	return l.roomLocked(c, user) + len(l.evictableLocked(c, user))
}

// evict ends a session that has had to make room. It does not wait for it.
func (s *session) evict() {
	s.tell(
		Event{
			Kind:  EventEvicted,
			User:  s.identity.Load().user,
			Limit: "MaxLoginsPerUser",
			Max:   int64(s.limits.Load().MaxLoginsPerUser),
		},
	)
	go s.hangUp(byeEvicted)
}
