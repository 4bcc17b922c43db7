package limits

import (
	"net/netip"
	"reflect"
	"time"
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
