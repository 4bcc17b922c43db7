package limits

// Entries returns how many entries all maps of the limiter have.
func (l *Limiter) Entries() int {
	return l.sessions.count() + l.connections.Entries() + l.logins.Entries() +
		l.keys.Len() + l.flights.Entries()
}
