package limits

import "net"

// WireLimits returns MaxLoginBytes, MaxCommandBytes and MaxSearchDepth for the connections of an
// address. A guard of the wire, such as [github.com/imapgate/imapgate.Server], enforces them. Zero
// means no limit.
func (l *Limiter) WireLimits(addr net.Addr) (loginBytes, commandBytes int64, searchDepth int) {
	settings := l.settings.Load()
	if len(settings.Exempt) > 0 && settings.isExempt(addrPort(addr).Addr()) {
		return 0, 0, 0
	}
	return settings.MaxLoginBytes, settings.MaxCommandBytes, settings.MaxSearchDepth
}

// RefuseOnWire counts and reports that one of [Limiter.WireLimits] was exceeded, and returns
// whether to refuse, which it does not under DryRun. option is the name of the field of Options;
// RefuseOnWire panics if it is none of the three.
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
