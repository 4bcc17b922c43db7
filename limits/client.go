package limits

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/layers"
)

// A Client is what [Options.LimitsFor] decides by.
type Client struct {
	User string     // the user's key, see Options.UserKey; "" before a login, and if not known
	Addr netip.Addr // the zero Addr if the connection has none
	TLS  bool       // whether there is TLS, as far as NetConn() net.Conn leads from the connection
	// Limits are those that the Options give every client, to be returned as they are or changed.
	Limits ClientLimits
}

// ClientLimits are the limits that can differ from client to client; the fields of the same names
// in [Options] give their meaning. Zero means no limit, and so does a negative value.
type ClientLimits struct {
	MaxConnectionsPerIP int // asked for before the user is known
	MaxLoginsPerUser    int
	MaxLoginsPerIP      int // a stranger can see it refuse: let it depend on the address only
	MaxFailedLogins     int // a stranger can see it, too
	MaxFetchesPerUser   int
	MaxSearchesPerUser  int
	MaxWaitingPerUser   int
}

// clientLimits are the limits of one client.
type clientLimits struct {
	ClientLimits
	exempt bool // from these and from all others
}

// client is the other end of a connection: what it is counted by, what its limits are, and whether
// it is still there.
type client struct {
	limiter *Limiter
	conn    *imapserver.Conn
	addr    netip.Addr
	ip      netip.Prefix // what addr is counted as
	turn    string       // the key of whose turn it takes in the queues
	socket  *socket      // taken when the connection was new: after STARTTLS it may not be found any more

	activity activity

	// Only the goroutine of the connection changes the identity; SetOptions computes the limits
	// anew.
	identity atomic.Pointer[identity]
	limits   atomic.Pointer[clientLimits]
}

// identity is who a client is to LimitsFor.
type identity struct {
	user string
	tls  bool
}

// identify says who the client is, and gives it the limits of that user.
func (c *client) identify(user string) {
	_, encrypted := layers.Find[*tls.Conn](c.conn.NetConn())
	c.identity.Store(&identity{user: user, tls: encrypted})
	c.refreshLimits()
}

// refreshLimits computes the limits by the options and the identity of now. No lock is held while
// LimitsFor runs: if either has changed meanwhile it starts again.
func (c *client) refreshLimits() {
	for {
		settings, who := c.limiter.settings.Load(), c.identity.Load()
		limits := settings.everybody
		switch {
		case settings.isExempt(c.addr):
			limits = &clientLimits{exempt: true}
		case settings.LimitsFor != nil:
			limits = &clientLimits{
				ClientLimits: settings.LimitsFor(
					Client{who.user, c.addr, who.tls, settings.everybody.ClientLimits},
				),
			}
		}
		c.limits.Store(limits)
		if c.limiter.settings.Load() == settings && c.identity.Load() == who {
			return
		}
	}
}

// settings are the options, ready for use.
type settings struct {
	Options
	everybody *clientLimits // of those for whom LimitsFor has nothing else
}

func newSettings(o Options) *settings {
	o.Exempt = slices.Clone(o.Exempt)
	return &settings{o, &clientLimits{ClientLimits: ClientLimits{
		MaxConnectionsPerIP: o.MaxConnectionsPerIP,
		MaxLoginsPerUser:    o.MaxLoginsPerUser,
		MaxLoginsPerIP:      o.MaxLoginsPerIP,
		MaxFailedLogins:     o.MaxFailedLogins,
		MaxFetchesPerUser:   o.MaxFetchesPerUser,
		MaxSearchesPerUser:  o.MaxSearchesPerUser,
		MaxWaitingPerUser:   o.MaxWaitingPerUser,
	}}}
}

// limitsUserLogins tells whether a user's logins may be limited.
func (s *settings) limitsUserLogins() bool { return s.MaxLoginsPerUser > 0 || s.LimitsFor != nil }

func (s *settings) isExempt(addr netip.Addr) bool {
	return slices.ContainsFunc(
		s.Exempt, func(network netip.Prefix) bool { return network.Contains(addr) },
	)
}
