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
	// MaxConnectionsPerIP is how many of them may be from one address. Beyond it:
	// [ErrTooManyIPConnections] as the greeting.
	MaxConnectionsPerIP int

	// MaxLoginsPerUser is how many sessions of one user may be logged in at once. A login beyond
	// that gets [ErrTooManyUserLogins] and the connection is closed.
	MaxLoginsPerUser int
	// MaxLoginsPerIP is how many sessions may be logged in at once from one address; checks that
	// still run do not count. A login beyond that gets [ErrTooManyIPLogins] without a password
	// check, and the connection is closed.
	MaxLoginsPerIP int
	// MaxFailedLogins is how many logins may fail for wrong credentials on one connection, whatever
	// succeeds in between. The one that reaches it gets the backend's answer, then a BYE. See
	// "Wrong credentials" above.
	MaxFailedLogins int

	// MaxLoginChecks is how many passwords the backend may check at once. Further logins wait, and
	// networks take turns. One that has waited for 30 s gets [ErrTooManyLoginChecks].
	MaxLoginChecks int
	// MaxLoginChecksPerIP is how many of them may be from one address.
	MaxLoginChecksPerIP int
	// MaxGuessDelay is how long wrong passwords from a network make its next password check wait at
	// most. See "Guesses" above. A login that has waited for its turn for 30 s gets
	// [ErrTooManyGuesses].
	MaxGuessDelay time.Duration

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

	// MaxCommands is how many other commands may run at once that reach the backend after login,
	// from SELECT and LIST to APPEND and COPY. NOOP, IDLE, UNSELECT, LOGOUT and UNAUTHENTICATE
	// never wait.
	MaxCommands int
	// MaxCommandsPerUser is how many of them may run for one user. Mail programs send a STATUS for
	// each of some hundred folders on several connections at once.
	MaxCommandsPerUser int
	// CommandQueueTimeout is the longest that such a command waits for both slots, and then gets
	// [ErrTooManyCommands]. An APPEND waits before its message is taken.
	CommandQueueTimeout time.Duration

	// MaxWaiting is how many commands may wait in each of the three queues. One more is refused at
	// once, with the answer of that queue.
	MaxWaiting int
	// MaxWaitingPerUser is how many may wait in each of them for one user.
	MaxWaitingPerUser int

	// ShareSearches gives the answer to a UID SEARCH also to equal ones that came while it waited.
	// Not every backend's sessions bear that: see "Shared searches" above. Where LimitsFor gives them
	// different limits, all wait by those of the one that came first.
	ShareSearches bool
	// JoinRunning gives the answer also to those that came while the SEARCH ran. It comes sooner,
	// but a message that the client has been told of meanwhile can be missing. It needs
	// ShareSearches.
	JoinRunning bool

	// ProgressInterval is how often a client whose command waits, or whose SEARCH runs, reads "* OK
	// [INPROGRESS]" (RFC 9585, which asks for no more than one in ten seconds), so that it neither
	// gives up nor tries again. If zero, it reads nothing until the answer.
	ProgressInterval time.Duration

	// FetchRunTimeout is how long a FETCH may run with a backend that has [ContextFetcher]; then it
	// gets [ErrFetchRunTimeout]. Other backends cannot be stopped.
	FetchRunTimeout time.Duration
	// SearchRunTimeout is how long a SEARCH may run with a backend that has [ContextSearcher]; then
	// it gets [ErrSearchRunTimeout].
	SearchRunTimeout time.Duration
	// StallTimeout is in how long the client of a FETCH or another command must take, and that of an
	// APPEND send, 4 KiB a second on average; else the connection is closed, in an APPEND with a BYE.
	// What is taken only Linux tells, of TCP sockets that can be found; go-imap has other timeouts.
	StallTimeout time.Duration
	// LoginTimeout is how long a connection may take to log in, counted from its start whatever it
	// sends, and anew after UNAUTHENTICATE; then it is closed, with a BYE unless the TLS handshake
	// is not done yet, or the client does not read.
	LoginTimeout time.Duration

	// EvictIdle is after how long a silent session, the longest silent one first and none in IDLE,
	// makes room for a new login of its user beyond MaxLoginsPerUser, whose password is right. If
	// zero, only sessions make room whose client has hung up unnoticed.
	EvictIdle time.Duration

	// MaxListPatterns is how many patterns a LIST may have. Beyond it: [ErrListPatterns].
	MaxListPatterns int
	// MaxListWildcards is how many wildcards the patterns of a LIST or LSUB may have together, a run
	// of them counted as one. A pattern has one at most, but for a * at its end and a % before the
	// delimiter: go-imap's matcher takes time to the power of it. Beyond it: [ErrListWildcards].
	MaxListWildcards int
	// MaxMailboxName is how many bytes the name may have that CREATE or RENAME gives to a mailbox:
	// the time that a LIST takes grows with it. Beyond it: [ErrMailboxName].
	MaxMailboxName int
	// MaxSearchTerms is how many search keys (RFC 9051 section 6.4.4) a SEARCH may have, NOT among
	// them but not OR. Mail programs ask for 100 to 500 addresses, two or three keys each. Beyond
	// it: [ErrSearchTerms].
	MaxSearchTerms int
	// MaxSearchDepth is how deep NOT and OR may be nested; a SEARCH without them has the depth 1,
	// and a list of alternatives, OR a OR b OR c d, the depth 2. Beyond it: [ErrSearchDepth].
	MaxSearchDepth int
	// MaxAppendSize is the size of the largest message that APPEND takes, in bytes. A larger one
	// gets [ErrAppendSize] after it was sent, or before if the backend has
	// [imapserver.SessionAppendLimit].
	MaxAppendSize int64

	// MaxLoginBytes is how many bytes a connection may send before it has logged in, whatever they
	// are. One more, and it is ended with a BYE. Only imapgate.Server sees the bytes.
	MaxLoginBytes int64
	// MaxCommandBytes is how many bytes a command may have after login, with its literals, the
	// message of an APPEND aside. A larger one gets a NO. Only imapgate.Server sees the bytes.
	MaxCommandBytes int64

	// LimitsFor, if it is not nil, returns the limits of a client, or client.Limits for those of
	// everybody. It is called when a connection comes, for each login and by SetOptions, from many
	// goroutines at once: see "Limits by client" above.
	LimitsFor func(client Client) ClientLimits `toml:"-"`
	// Exempt are networks whose clients are never refused or disconnected, and never wait. What
	// they use still counts against the limits of the others.
	Exempt []netip.Prefix

	// DryRun counts and reports what would be refused, and refuses nothing: nobody waits, nobody is
	// thrown out, and SEARCHes are not shared. What would have waited in vain is reported when it
	// has run for longer than its timeout.
	DryRun bool

	// UserKey returns what a user is counted by: names with the same key are one user. If nil,
	// case, full-width letters and space around a name do not matter. The name is the client's, of
	// up to 50 KB. It is called from many goroutines at once. See "Who is counted as whom" above.
	UserKey func(name string) string `toml:"-"`
	// IPKey returns the network that an address is counted as, or the zero Prefix for no limit. The
	// address is never IPv4-in-IPv6 and has no zone. If nil, it is the IPv4 address, or the /64 of
	// an IPv6 address. It is called from many goroutines at once.
	IPKey func(addr netip.Addr) netip.Prefix `toml:"-"`
	// Username, if it is not nil, returns who is logged in to a session of the backend, free of the
	// wrappers of this module, after each login and for each PREAUTH greeting; or "" if what the
	// client said stands.
	Username func(session imapserver.Session) string `toml:"-"`

	// Cluster, if it is not nil, counts logins together with the Limiters of other processes and
	// machines: MaxLoginsPerUser and MaxLoginsPerIP hold for all of them together, other limits for
	// each. Sessions that are logged in when it is replaced stay with the one that counted them.
	Cluster Cluster `toml:"-"`

	// OnEvent, if it is not nil, is told of each refusal, each wait, and whatever else [EventKind]
	// lists. It is called from many goroutines at once, never under a lock, and should be quick:
	// the command waits for it.
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
