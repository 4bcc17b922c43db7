package limits

import (
	"crypto/tls"
	"fmt"

	"github.com/imapgate/imapgate/internal/admission"
	"github.com/imapgate/imapgate/internal/layers"
)

// identify notes who the client is, and gives it the limits of that user. If LimitsFor returns
// limits that are not valid, identify returns an error, and the limits stay as they were.
func (c *client) identify(user string) error {
	_, encrypted := layers.Find[*tls.Conn](c.conn.NetConn())
	c.identity.Store(&identity{user: user, tls: encrypted})
	return c.refreshLimits()
}

// refreshLimits computes the limits from the current options and identity. It holds no lock while
// LimitsFor runs, and starts again if either has changed meanwhile, or the limits have: they may be
// those of a later identity, which must not be replaced for even a moment.
func (c *client) refreshLimits() error {
	for {
		before := c.limits.Load()
		settings, who := c.limiter.settings.Load(), c.identity.Load()
		limits := settings.everybody
		switch {
		case settings.isExempt(c.addr):
			limits = &clientLimits{exempt: true}
			limits.ProgressInterval = settings.ProgressInterval
		case settings.LimitsFor != nil:
			own := settings.LimitsFor(Client{who.user, c.addr, who.tls, settings.everybody.ClientLimits})
			if err := own.validate(); err != nil {
				return fmt.Errorf("%w (for user %.100q at %v)", err, who.user, c.addr)
			}
			limits = &clientLimits{ClientLimits: own}
		}
		if c.limits.CompareAndSwap(before, limits) &&
			c.limiter.settings.Load() == settings && c.identity.Load() == who {
			return nil
		}
	}
}

// applyOptions makes new options hold for the session. On an error the limits stay as they were. A
// panic of LimitsFor ends this connection, and no other.
func (s *session) applyOptions() {
	defer s.catchPanic()
	s.refreshLimits()
	s.armLoginTimeout()
}

// loginLimits returns the limits that hold for the client's logins now.
func (c *client) loginLimits() admission.LoginLimits {
	settings, limits := c.limiter.settings.Load(), c.limits.Load()
	return admission.LoginLimits{
		User:     limits.MaxLoginsPerUser,
		Network:  limits.MaxLoginsPerIP,
		OneByOne: settings.MaxLoginsPerUser > 0 || settings.LimitsFor != nil,
		Exempt:   limits.exempt,
		Force:    settings.DryRun,
	}
}

// KeyLimits returns the current limits of the client's user or network at a queue's gate. A command
// that waits when DryRun is switched on stops waiting.
func (c *client) KeyLimits(gate *admission.Gate) admission.KeyLimits {
	settings, limits := c.limiter.settings.Load(), c.limits.Load()
	var most int
	maxWaiting := limits.MaxWaitingPerUser
	switch gate {
	case &c.limiter.checks.gate:
		most, maxWaiting = limits.MaxLoginChecksPerIP, 0
	case &c.limiter.guessing.gate:
		most, maxWaiting = 1, 0
	case &c.limiter.fetches.gate:
		most = limits.MaxFetchesPerUser
	case &c.limiter.searches.gate:
		most = limits.MaxSearchesPerUser
	case &c.limiter.commands.gate:
		most = limits.MaxCommandsPerUser
	}
	off := gate == &c.limiter.guessing.gate && limits.MaxGuessDelay == 0
	return admission.KeyLimits{
		Max:        most,
		MaxWaiting: maxWaiting,
		Exempt:     limits.exempt || off || settings.DryRun && c.activity.waits(),
	}
}

func (s *session) dryRun() bool { return s.limiter.settings.Load().DryRun }
