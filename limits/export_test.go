package limits

// Entries returns how many entries all maps of the limiter have.
func (l *Limiter) Entries() int {
	n := len(l.sessions.all())
	l.connections.mu.Lock()
	n += len(l.connections.ips.entries)
	l.connections.mu.Unlock()
	l.logins.mu.Lock()
	n += len(
		l.logins.users.entries,
	) + len(
		l.logins.evicted.entries,
	) + len(
		l.logins.ips.entries,
	) + len(
		l.logins.pairs.entries,
	)
	l.logins.mu.Unlock()
	for _, g := range []*gate{&l.fetches, &l.searches} {
		g.mu.Lock()
		n += len(g.users.entries) + g.turns.Len()
		g.mu.Unlock()
	}
	l.flights.mu.Lock()
	defer l.flights.mu.Unlock()
	return n + len(l.flights.keys.entries)
}
