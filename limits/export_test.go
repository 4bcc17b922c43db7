package limits

// Entries returns how many entries all maps of the limiter have.
func (l *Limiter) Entries() int {
	return l.sessions.count() + l.connections.Entries() + l.logins.Entries() +
		l.checks.gate.Entries() + l.guessing.gate.Entries() + l.fetches.gate.Entries() +
		l.searches.gate.Entries() + l.commands.gate.Entries() + l.flights.Entries()
}
