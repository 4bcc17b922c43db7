package limits

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
)

// Options says what a [Limiter] limits. In each number and duration zero means no limit and a
// negative value is a mistake, so the zero Options limit nothing. [DefaultOptions] is where to
// start from.
type Options struct {
	// MaxConnections is how many connections there may be at once, logged in or not. The next one
	// is greeted with [ErrTooManyConnections], and the backend does not hear of it.
	MaxConnections int
	// MaxConnectionsPerIP is the same for the connections from one address, with
	// [ErrTooManyIPConnections].
	MaxConnectionsPerIP int

	// MaxLoginsPerUser is how many sessions of one user may be logged in at once. A login beyond
	// that gets [ErrTooManyUserLogins] and the connection is closed.
	MaxLoginsPerUser int
	// MaxLoginsPerIP is how many sessions may be logged in at once from one address. A login beyond
	// that gets [ErrTooManyIPLogins] without a password check, and the connection is closed. A
	// login that is still being checked does not count: otherwise strangers could fill an address
	// that others share with them.
	MaxLoginsPerIP int
	// MaxFailedLogins is how many logins may fail for wrong credentials on one connection. The one
	// that reaches it gets the backend's answer, then a BYE, and the connection is closed. A
	// successful login does not start the count again, or UNAUTHENTICATE (RFC 8437) would give any
	// account owner endless guesses. Wrong credentials are [imapserver.ErrAuthFailed], a
	// [sasl.OAuthBearerError], and any other NO that is an [imap.Error], except with the codes
	// UNAVAILABLE, SERVERBUG, INUSE, CONTACTADMIN, PRIVACYREQUIRED and LIMIT. An error of another
	// type does not count: go-imap tells the client that it is a SERVERBUG.
	MaxFailedLogins int

	// MaxFetches is how many FETCH and UID FETCH commands may run at once.
	MaxFetches int
	// MaxFetchesPerUser is how many of them may run for one user.
	MaxFetchesPerUser int
	// FetchQueueTimeout is the longest that a FETCH waits for both slots, and then gets
	// [ErrTooManyFetches].
	FetchQueueTimeout time.Duration

	// MaxSearches is how many SEARCH and UID SEARCH commands may run at once.
	MaxSearches int
	// MaxSearchesPerUser is how many of them may run for one user.
	MaxSearchesPerUser int
	// SearchQueueTimeout is the longest that a SEARCH waits for both slots, and then gets
	// [ErrTooManySearches].
	SearchQueueTimeout time.Duration

	// MaxWaiting is how many FETCHes may wait in their queue, and how many SEARCHes in theirs. One
	// more is refused at once, with [ErrTooManyFetches] or [ErrTooManySearches].
	MaxWaiting int
	// MaxWaitingPerUser is how many of each may wait for one user.
	MaxWaitingPerUser int

	// ShareSearches gives the answer to a UID SEARCH also to those that came while it waited and are
	// equal: same account, mailbox, local address and TLS server name. It is only for backends whose
	// sessions search the mailbox as it is, or bring themselves up to date in Poll, which is called
	// before. Without it equal ones still run one after another, so that repeats cannot pile up.
	ShareSearches bool
	// JoinRunning gives the answer also to those that came while the SEARCH ran. It comes sooner, but a
	// message that the client has been told of meanwhile can be missing. It needs ShareSearches.
	JoinRunning bool

	// ProgressInterval is how often a client whose FETCH or SEARCH waits, or whose SEARCH runs,
	// reads "* OK [INPROGRESS]" (RFC 9585), so that it neither gives up nor tries again. If zero,
	// it reads nothing until the answer. RFC 9585 asks for no more than one in ten seconds. go-imap
	// cannot advertise the capability INPROGRESS; clients that do not know it must ignore the
	// response.
	ProgressInterval time.Duration

	// FetchRunTimeout is how long a FETCH may run with a backend that has [ContextFetcher]; then it gets
	// [ErrFetchRunTimeout]. Other backends cannot be stopped.
	FetchRunTimeout time.Duration
	// SearchRunTimeout is how long a SEARCH may run with a backend that has [ContextSearcher]; then it
	// gets [ErrSearchRunTimeout].
	SearchRunTimeout time.Duration
	// StallTimeout is how long a FETCH keeps its slot when its client takes nothing of what is
	// sent; then the connection is closed. Only Linux tells, and only of TCP connections whose
	// socket can be found; elsewhere the server's own write timeout of five minutes stands.
	StallTimeout time.Duration
	// LoginTimeout is how long a connection may take to log in, counted from its start whatever it
	// sends; then it is closed, with a BYE unless the TLS handshake is not done yet, or the client
	// does not read. After UNAUTHENTICATE it counts anew.
	LoginTimeout time.Duration

	// EvictIdle is after how long a silent session that is not in IDLE makes room for a new login
	// of the same user that would be over MaxLoginsPerUser, the longest silent one first. It is
	// ended with a BYE, when the new login's password has been found right. If zero, only sessions
	// whose client has hung up unnoticed make room.
	EvictIdle time.Duration

	// MaxListWildcards is how many wildcards a pattern of LIST and LSUB may have, a run of them
	// counted as one. Clients use one or two; the time that go-imap's own matcher takes grows with
	// the length of a mailbox name to the power of this, so a backend that uses it should also
	// limit how long a name may be. Beyond it: [ErrListWildcards].
	MaxListWildcards int
	// MaxSearchTerms is how many search keys (RFC 9051 section 6.4.4) a SEARCH may have, NOT among them
	// but not OR. Mail programs ask for lists of 100 to 500 addresses, two or three keys each. Beyond
	// it: [ErrSearchTerms].
	MaxSearchTerms int
	// MaxSearchDepth is how deep NOT and OR may be nested; a SEARCH without them has the depth 1, and a
	// list of alternatives, OR a OR b OR c d, the depth 2. Beyond it: [ErrSearchDepth].
	MaxSearchDepth int
	// MaxAppendSize is the size of the largest message that APPEND takes, in bytes. A larger one gets
	// [ErrAppendSize] after it was sent, or before if the backend has [imapserver.SessionAppendLimit].
	MaxAppendSize int64

	// MaxLoginBytes is how many bytes a connection may send before it has logged in, whatever they
	// are. One more, and it is ended with a BYE. Only imapgate.Server sees the bytes.
	MaxLoginBytes int64
	// MaxCommandBytes is how many bytes a command may have after login, with its literals, the
	// message of an APPEND aside. A larger one gets a NO. Only imapgate.Server sees the bytes.
	MaxCommandBytes int64

	// LimitsFor returns the limits of a client, if it is not nil: other numbers for a service
	// account, say, or none for a webmail host. It returns client.Limits for everybody else. It is
	// called when a connection comes (without a user), for each login (with the name that the
	// client claims, and without one again when the login has failed) and by SetOptions, from many
	// goroutines at once.
	LimitsFor func(client Client) ClientLimits `toml:"-"`
	// Exempt are networks whose clients are never refused or disconnected, and never wait. What
	// they use still counts against the limits of the others.
	Exempt []netip.Prefix

	// DryRun counts and reports what would be refused, and refuses nothing: nobody waits, nobody is
	// thrown out, and SEARCHes are not shared. A command that would wait runs at once; that it
	// would have been refused is reported when it has taken longer than its timeout without coming
	// to its turn.
	DryRun bool

	// UserKey returns the name that a user is counted by; names with the same key are one user. If
	// nil, names that differ only in case (Unicode simple case folding, as in [strings.EqualFold]),
	// in full-width forms of ASCII characters or in space around them are one user. A backend that
	// takes several spellings for one account ("karen" and "karen@example.com", "rené" in both
	// normalization forms, "rene" by the collation of its database) should do here what it does
	// there, or give Username, or a client could count each apart. The name comes from the client
	// and can be up to 50 KB long; "" means that the user is not known. It is called from many
	// goroutines at once.
	UserKey func(name string) string `toml:"-"`
	// IPKey returns the network that an address is counted as. If nil, it is the IPv4 address
	// itself, or the /64 of an IPv6 address. The address is never IPv4-in-IPv6 and has no zone. The
	// zero Prefix means that this address has no limit, as one that is not an IP address never has.
	// It is called from many goroutines at once.
	IPKey func(addr netip.Addr) netip.Prefix `toml:"-"`
	// Username returns the user who is logged in to a session, for a backend that knows better than
	// the client's own words: see the package comment. It is called after each login and for each
	// PREAUTH greeting, with the backend's own session, free of the wrappers of this module. ""
	// means that the backend does not know either: then what the client said stands. If nil, it
	// always does.
	Username func(session imapserver.Session) string `toml:"-"`

	// Cluster counts logins together with the Limiters of other processes and machines, if it is not
	// nil: MaxLoginsPerUser and MaxLoginsPerIP then hold for all of them together. All other limits
	// protect one machine, and are counted on each. Sessions that are logged in when it is replaced
	// stay with the one that they were counted by.
	Cluster Cluster `toml:"-"`

	// OnEvent is called for each refusal, for each command that had to wait, and for whatever else
	// [EventKind] lists, if it is not nil. It is called from many goroutines at once, never under a
	// lock, and should be quick: the command waits for it.
	OnEvent func(event Event) `toml:"-"`
}

// DefaultOptions returns new Options that suit a server of some hundred users, with the default of
// each limit of [Declared]. Nothing else is set.
func DefaultOptions() *Options {
	var o Options
	for _, l := range declared {
		l.field(&o).SetInt(l.initial)
	}
	return &o
}

// Validate returns an error that names the field and its value if a number or a duration is
// negative, a network of Exempt is not valid, or JoinRunning is set without ShareSearches.
func (o *Options) Validate() error {
	for _, l := range declared {
		if err := l.validate("", l.field(o).Int()); err != nil {
			return err
		}
	}
	for i, network := range o.Exempt {
		if !network.IsValid() {
			return fmt.Errorf("limits: Exempt[%d] is %v: it must be a network", i, network)
		}
	}
	if o.JoinRunning && !o.ShareSearches {
		return errors.New("limits: JoinRunning is true: it needs ShareSearches")
	}
	return nil
}
