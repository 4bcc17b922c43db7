package limits

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
)

// Options says what a [Limiter] limits. In each number and duration zero means no limit and a negative value is a mistake, so the zero
// Options limit nothing. [DefaultOptions] is where to start from.
type Options struct {
	// MaxConnections is how many connections there may be at once, logged in or not. The next one is greeted with
	// [ErrTooManyConnections], and the backend does not hear of it.
	MaxConnections int
	// MaxConnectionsPerIP is the same for the connections from one address, with [ErrTooManyIPConnections].
	MaxConnectionsPerIP int

	// MaxLoginsPerUser is how many sessions of one user may be logged in at once. A login beyond that gets [ErrTooManyUserLogins]
	// and the connection is closed.
	MaxLoginsPerUser int
	// MaxLoginsPerIP is how many sessions may be logged in at once from one address. A login beyond that gets [ErrTooManyIPLogins]
	// without a password check, and the connection is closed. A login that is still being checked does not count: otherwise
	// strangers could fill an address that others share with them.
	MaxLoginsPerIP int
	// MaxFailedLogins is how many logins may fail for wrong credentials on one connection. The one that reaches it gets the
	// backend's answer, then a BYE, and the connection is closed. A successful login does not start the count again, or UNAUTHENTICATE (RFC 8437)
	// would give any account owner endless guesses.
	MaxFailedLogins int

	// MaxFetches is how many FETCH and UID FETCH commands may run at once.
	MaxFetches int
	// MaxFetchesPerUser is how many of them may be one user's.
	MaxFetchesPerUser int
	// FetchTimeout is the longest that a FETCH waits for both slots, and then gets [ErrTooManyFetches].
	FetchTimeout time.Duration

	// MaxSearches is how many SEARCH and UID SEARCH commands may run at once.
	MaxSearches int
	// MaxSearchesPerUser is how many of them may be one user's.
	MaxSearchesPerUser int
	// SearchTimeout is the longest that a SEARCH waits for both slots, and then gets [ErrTooManySearches].
	SearchTimeout time.Duration

	// UserKey returns the name that a user is counted by; names with the same key are one user. If nil, names that differ only in
	// case (Unicode simple case folding, as in [strings.EqualFold]) or in space around them are one user. A backend that takes several
	// spellings for one account ("karen" and "karen@example.com", a full-width "ｋａｒｅｎ") should do here what it does there, or a
	// client could count each apart. The name comes from the client and can be up to 50 KB long; "" means that the user is not
	// known. It is called from many goroutines at once.
	UserKey func(name string) string
	// IPKey returns the network that an address is counted as. If nil, it is the IPv4 address itself, or the /64 of an IPv6 address.
	// The address is never IPv4-in-IPv6 and has no zone. The zero Prefix means that this address has no limit, as one that is not
	// an IP address never has. It is called from many goroutines at once.
	IPKey func(addr netip.Addr) netip.Prefix
	// Username returns the user who is logged in to a session, for a backend that knows better than the client's own words: see the
	// package comment. It is called after each login and for each PREAUTH greeting, with the backend's own session, free of the wrappers
	// of this module. "" means that the backend does not know either: then what the client said stands. If nil, it always does.
	Username func(session imapserver.Session) string

	// OnEvent is called for each refusal and for each command that had to wait, if it is not nil. It is called by the goroutine of
	// the connection, never under a lock, and should be quick. See [Event].
	OnEvent func(event Event)
}

// DefaultOptions returns new Options that suit a server of some hundred users: 10,000 connections, 300 from one address; 20 logins of
// one user, 100 from one address, 3 failed ones on a connection; 50 FETCHes, 10 of one user, waiting up to 40 s; 20 SEARCHes, 3 of one
// user, waiting up to 30 s.
func DefaultOptions() *Options {
	return &Options{
		MaxConnections:      10_000,
		MaxConnectionsPerIP: 300,
		MaxLoginsPerUser:    20,
		MaxLoginsPerIP:      100,
		MaxFailedLogins:     3,
		MaxFetches:          50,
		MaxFetchesPerUser:   10,
		FetchTimeout:        40 * time.Second,
		MaxSearches:         20,
		MaxSearchesPerUser:  3,
		SearchTimeout:       30 * time.Second,
	}
}

// Validate returns an error that names the field and its value if one of them is negative.
func (o *Options) Validate() error {
	for _, field := range []struct {
		name  string
		value int
	}{
		{"MaxConnections", o.MaxConnections},
		{"MaxConnectionsPerIP", o.MaxConnectionsPerIP},
		{"MaxLoginsPerUser", o.MaxLoginsPerUser},
		{"MaxLoginsPerIP", o.MaxLoginsPerIP},
		{"MaxFailedLogins", o.MaxFailedLogins},
		{"MaxFetches", o.MaxFetches},
		{"MaxFetchesPerUser", o.MaxFetchesPerUser},
		{"MaxSearches", o.MaxSearches},
		{"MaxSearchesPerUser", o.MaxSearchesPerUser},
	} {
		if field.value < 0 {
			return fmt.Errorf("limits: %s is %d: it must be 0 (no limit) or more", field.name, field.value)
		}
	}
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"FetchTimeout", o.FetchTimeout},
		{"SearchTimeout", o.SearchTimeout},
	} {
		if field.value < 0 {
			return fmt.Errorf("limits: %s is %v: it must be 0 (no limit) or more", field.name, field.value)
		}
	}
	return nil
}
