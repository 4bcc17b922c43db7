package limits

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/admission"
	"github.com/imapgate/imapgate/internal/layers"
	"github.com/imapgate/imapgate/internal/socket"
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
// in [Options] give their meaning. Zero means no limit. A negative number is a mistake, as it is in
// Options: nobody connects or logs in with it, and the server logs which field it is.
type ClientLimits struct {
	MaxConnectionsPerIP int // asked for before the user is known
	MaxLoginsPerUser    int
	MaxLoginsPerIP      int // a stranger can see it refuse: let it depend on the address only
	MaxFailedLogins     int // a stranger can see it, too
	MaxLoginChecksPerIP int // and this
	MaxFetchesPerUser   int
	MaxSearchesPerUser  int
	MaxCommandsPerUser  int
	MaxWaitingPerUser   int
	// ProgressInterval is zero for a client that takes a notice inside a FETCH for an error.
	ProgressInterval time.Duration
}

// clientLimits returns those of everybody.
func (o *Options) clientLimits() (limits ClientLimits) {
	from, to := reflect.ValueOf(o).Elem(), reflect.ValueOf(&limits).Elem()
	for i := range to.NumField() {
		to.Field(i).Set(from.FieldByName(to.Type().Field(i).Name))
	}
	return limits
}

// validate returns an error that names the field and its value if one is negative.
func (c *ClientLimits) validate() error {
	value := reflect.ValueOf(c).Elem()
	for _, l := range declared {
		if field := value.FieldByName(l.option); field.IsValid() {
			if err := l.validate("LimitsFor: ", field.Int()); err != nil {
				return err
			}
		}
	}
	return nil
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
	remote  netip.AddrPort
	addr    netip.Addr
	ip      netip.Prefix // what addr is counted as
	turn    string       // the key of whose turn it takes in the queues
	// socket is taken when the connection is new: after STARTTLS it may not be found any more.
	socket *socket.Socket

	activity activity
	presence presence
	upload   upload

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

// identify says who the client is, and gives it the limits of that user. If LimitsFor has none that
// are valid, it returns an error, and the limits stay what they were.
func (c *client) identify(user string) error {
	_, encrypted := layers.Find[*tls.Conn](c.conn.NetConn())
	c.identity.Store(&identity{user: user, tls: encrypted})
	return c.refreshLimits()
}

// refreshLimits computes the limits by the options and the identity of now. No lock is held while
// LimitsFor runs: if either has changed meanwhile it starts again.
func (c *client) refreshLimits() error {
	for {
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
		c.limits.Store(limits)
		if c.limiter.settings.Load() == settings && c.identity.Load() == who {
			return nil
		}
	}
}

// loginLimits are the limits of the client's logins now.
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

// KeyLimits returns the limits of the client's user, or network, at the gate of a queue now. Who
// waits when DryRun is switched on need not wait any more.
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
	off := gate == &c.limiter.guessing.gate && settings.MaxGuessDelay == 0
	return admission.KeyLimits{
		Max:        most,
		MaxWaiting: maxWaiting,
		Exempt:     limits.exempt || off || settings.DryRun && c.activity.waits(),
	}
}

// settings are the options, ready for use.
type settings struct {
	Options
	values    []int64       // of the declared limits
	everybody *clientLimits // of those for whom LimitsFor has nothing else
	replaced  chan struct{} // closed when there are others
	guesses   GuessCluster  // nil if the cluster is none, or there is no cluster
}

func newSettings(o Options) *settings {
	o.Exempt = slices.Clone(o.Exempt)
	guesses, _ := o.Cluster.(GuessCluster)
	return &settings{
		o, o.values(), &clientLimits{ClientLimits: o.clientLimits()}, make(chan struct{}), guesses,
	}
}

func (s *settings) isExempt(addr netip.Addr) bool {
	return slices.ContainsFunc(
		s.Exempt, func(network netip.Prefix) bool { return network.Contains(addr) },
	)
}
