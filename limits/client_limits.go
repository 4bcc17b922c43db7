package limits

import (
	"net/netip"
	"reflect"
	"time"
)

// A Client is what [Options.LimitsFor] knows about a client.
type Client struct {
	User string     // the user's key, see Options.UserKey; "" before a login, or if not known
	Addr netip.Addr // the zero Addr if the connection has none
	TLS  bool       // whether the connection, or one below it by NetConn() net.Conn, is TLS
	// Limits are the limits that the Options give every client. Return them as they are or changed.
	Limits ClientLimits
}

// ClientLimits are the limits that can differ by client. Each field means what the field of the
// same name in [Options] means; zero means no limit. With a negative number nobody can connect or
// log in, and the server logs the field.
type ClientLimits struct {
	MaxConnectionsPerIP int // used before the user is known
	MaxLoginsPerUser    int
	MaxLoginsPerIP      int // a stranger can see its refusals: it should depend only on the address
	MaxFailedLogins     int // a stranger can see its refusals, too
	MaxLoginChecksPerIP int // a stranger can see its refusals, too
	// MaxGuessDelay is zero for a webmail host that slows down guesses itself. Otherwise the wrong
	// passwords of one of its users delay the others. A stranger can see it, too.
	MaxGuessDelay time.Duration

	MaxFetchesPerUser  int
	MaxSearchesPerUser int
	MaxCommandsPerUser int
	MaxWaitingPerUser  int
	// Set ProgressInterval to zero for a client that mistakes a notice inside a FETCH for an error.
	ProgressInterval time.Duration
}

// validate returns an error that names the first negative field and its value, or nil.
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
