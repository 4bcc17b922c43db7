package limits

import "net"

// Options returns a copy of the options that are in force.
func (l *Limiter) Options() *Options {
	o := l.settings.Load().Options
	return &o
}

// WireLimits returns what a guard of the wire, such as [github.com/imapgate/imapgate.Server],
// enforces on the connections of an address: MaxLoginBytes, MaxCommandBytes and MaxSearchDepth.
// Zero means no limit.
func (l *Limiter) WireLimits(addr net.Addr) (loginBytes, commandBytes int64, searchDepth int) {
	settings := l.settings.Load()
	if settings.isExempt(ipOf(addr)) {
		return 0, 0, 0
	}
	return settings.MaxLoginBytes, settings.MaxCommandBytes, settings.MaxSearchDepth
}

// RefuseOnWire counts and reports what is over one of [Limiter.WireLimits], by its field of
// Options, and says whether to refuse it: not with DryRun.
func (l *Limiter) RefuseOnWire(addr net.Addr, limit string, value int64) (refuse bool) {
	settings := l.settings.Load()
	l.refusals.addWire(limit)
	if settings.OnEvent != nil {
		settings.OnEvent(Event{
			Kind: EventRefused, Addr: ipOf(addr), Limit: limit, Max: value, DryRun: settings.DryRun,
		})
	}
	return !settings.DryRun
}

func (r *refusals) addWire(limit string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch limit {
	case "MaxLoginBytes":
		r.total.LoginBytes++
	case "MaxCommandBytes":
		r.total.CommandBytes++
	case "MaxSearchDepth":
		r.total.SearchDepth++
	}
}
