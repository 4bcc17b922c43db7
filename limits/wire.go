package limits

import "net"

// WireLimits returns what a guard of the wire, such as [github.com/imapgate/imapgate.Server],
// enforces on the connections of an address: MaxLoginBytes, MaxCommandBytes and MaxSearchDepth.
// Zero means no limit.
func (l *Limiter) WireLimits(addr net.Addr) (loginBytes, commandBytes int64, searchDepth int) {
	settings := l.settings.Load()
	if len(settings.Exempt) > 0 && settings.isExempt(addrPort(addr).Addr()) {
		return 0, 0, 0
	}
	return settings.MaxLoginBytes, settings.MaxCommandBytes, settings.MaxSearchDepth
}

// RefuseOnWire counts and reports what is over one of [Limiter.WireLimits], by the name of its
// field of Options, and says whether to refuse it: not with DryRun. It panics if that is none of
// them.
func (l *Limiter) RefuseOnWire(addr net.Addr, option string, value int64) (refuse bool) {
	c := &client{limiter: l, remote: addrPort(addr)}
	c.addr = c.remote.Addr()
	c.identity.Store(&identity{})
	for _, limit := range []*limit{maxLoginBytes, maxCommandBytes, maxSearchDepth} {
		if limit.option == option {
			return c.refuse(Event{}, refusal{limit: limit, value: value})
		}
	}
	panic("limits: " + option + " is no limit of the wire")
}
