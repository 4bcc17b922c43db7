package limits

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
)

// Options says what a [Limiter] limits. In each number and duration zero means no limit and a
// negative value is an error, so the zero Options limit nothing. Start from [DefaultOptions].
type Options struct {
	// MaxConnections is how many connections may be open at once, logged in or not. The next one is
	// greeted with [ErrTooManyConnections], and the backend does not see it.
	MaxConnections int
	// MaxConnectionsPerIP is how many of them may come from one address. The next one is greeted with
	// [ErrTooManyIPConnections].
	MaxConnectionsPerIP int

	// MaxLoginsPerUser is how many sessions of one user may be logged in at once. A login beyond that
	// gets [ErrTooManyUserLogins], and the connection is closed.
	MaxLoginsPerUser int
	// MaxLoginsPerIP is how many sessions from one address may be logged in at once; running password
	// checks do not count. A login beyond that gets [ErrTooManyIPLogins] without a password check, and
	// the connection is closed.
	MaxLoginsPerIP int
	// MaxFailedLogins is how many logins with wrong credentials one connection may make, whatever
	// succeeds in between. The last one gets the backend's answer, then a BYE. See "Wrong credentials"
	// above.
	MaxFailedLogins int

	// MaxLoginChecks is how many passwords the backend may check at once. Further logins wait, and
	// networks take turns. After 30 s a login gets [ErrTooManyLoginChecks].
	MaxLoginChecks int
	// MaxLoginChecksPerIP is how many of these checks may be for one address.
	MaxLoginChecksPerIP int
	// MaxGuessDelay is the longest delay of a network's next password check after wrong passwords from
	// there. A login that has waited 30 s for its turn gets [ErrTooManyGuesses]. See "Guesses" above.
	MaxGuessDelay time.Duration

	// MaxFetches is how many FETCH and UID FETCH commands may run at once.
	MaxFetches int
	// MaxFetchesPerUser is how many of them may run for one user.
	MaxFetchesPerUser int
	// FetchQueueTimeout is how long a FETCH may wait for both slots. Then it gets [ErrTooManyFetches].
	FetchQueueTimeout time.Duration

	// MaxSearches is how many SEARCH and UID SEARCH commands may run at once.
	MaxSearches int
	// MaxSearchesPerUser is how many of them may run for one user.
	MaxSearchesPerUser int
	// SearchQueueTimeout is how long a SEARCH may wait for both slots. Then it gets
	// [ErrTooManySearches].
	SearchQueueTimeout time.Duration

	// MaxCommands is how many other commands that reach the backend after login, from SELECT and LIST
	// to APPEND and COPY, may run at once. NOOP, IDLE, UNSELECT, LOGOUT and UNAUTHENTICATE never wait.
	MaxCommands int
	// MaxCommandsPerUser is how many of them may run for one user. Mail programs send STATUS for
	// hundreds of folders, on several connections at once.
	MaxCommandsPerUser int
	// CommandQueueTimeout is how long such a command may wait for both slots. Then it gets
	// [ErrTooManyCommands]. An APPEND waits before its message is read.
	CommandQueueTimeout time.Duration

	// MaxWaiting is how many commands may wait in each of the three queues. The next one is refused at
	// once, with the answer of that queue.
	MaxWaiting int
	// MaxWaitingPerUser is how many commands of one user may wait in each of the queues.
	MaxWaitingPerUser int

	// ShareSearches gives the answer to a UID SEARCH also to equal ones that arrived while it waited.
	// Not every backend allows that: see "Shared searches" above. If LimitsFor gives these clients
	// different limits, the limits of the first one hold for all.
	ShareSearches bool
	// JoinRunning gives the answer also to equal ones that arrived while the SEARCH ran. They get it
	// sooner, but it can lack a message that their client already knows. It needs ShareSearches.
	JoinRunning bool

	// ProgressInterval is how often a client reads "* OK [INPROGRESS]" (RFC 9585: at most once in ten
	// seconds) while its command waits or its SEARCH runs, so that it neither gives up nor tries
	// again. If zero, it reads nothing until the answer.
	ProgressInterval time.Duration

	// FetchRunTimeout is how long a FETCH may run if the backend has [ContextFetcher]. Then it gets
	// [ErrFetchRunTimeout]. Other backends cannot be stopped.
	FetchRunTimeout time.Duration
	// SearchRunTimeout is how long a SEARCH may run if the backend has [ContextSearcher]. Then it gets
	// [ErrSearchRunTimeout].
	SearchRunTimeout time.Duration
	// StallTimeout closes a connection whose client takes less than 4 KiB/s of an answer, on average
	// over this time, or sends an APPEND more slowly (which ends with a BYE). What a client takes is
	// known only on Linux, for TCP sockets that can be found; go-imap has other timeouts.
	StallTimeout time.Duration
	// LoginTimeout is how long a connection may stay without a login, from its start or
	// UNAUTHENTICATE, whatever it sends. Then it is closed, with a BYE unless the TLS handshake is not
	// done or the client does not read.
	LoginTimeout time.Duration

	// EvictIdle lets a new login beyond MaxLoginsPerUser, if its password is right, replace the
	// session of the user that has been silent longest: for at least EvictIdle, and not in IDLE. If
	// zero, only sessions whose client has hung up unnoticed make room.
	EvictIdle time.Duration

	// MaxListPatterns is how many patterns a LIST may have. One with more gets [ErrListPatterns].
	MaxListPatterns int
	// MaxListWildcards is how many wildcards a LIST or LSUB may have, a run counted as one. Each
	// pattern may have only one, besides a * at its end and a % before the delimiter, as the cost is
	// exponential in their number. One with more gets [ErrListWildcards].
	MaxListWildcards int
	// MaxMailboxName is how many bytes the new name in a CREATE or RENAME may have, as the time of a
	// LIST grows with it. A longer one gets [ErrMailboxName].
	MaxMailboxName int
	// MaxSearchTerms is how many search keys (RFC 9051 section 6.4.4) a SEARCH may have. NOT counts,
	// OR does not. Mail programs ask for 100 to 500 addresses with two or three keys each. A SEARCH
	// with more gets [ErrSearchTerms].
	MaxSearchTerms int
	// MaxSearchDepth is how deep NOT and OR may be nested. A SEARCH without them has the depth 1, a
	// list of alternatives such as OR a OR b OR c d the depth 2. A deeper one gets [ErrSearchDepth].
	MaxSearchDepth int
	// MaxAppendSize is the size in bytes of the largest message that APPEND accepts. A larger one gets
	// [ErrAppendSize] after it was sent, or before that if the backend has
	// [imapserver.SessionAppendLimit].
	MaxAppendSize int64

	// MaxLoginBytes is how many bytes of any kind a connection may send before its login. One more
	// ends it with a BYE. Only imapgate.Server and imapgate.NewListener enforce it.
	MaxLoginBytes int64
	// MaxCommandBytes is how many bytes a command may have after login, literals included, but not the
	// message of an APPEND. A larger one gets a NO, from imapgate.Server and imapgate.NewListener.
	MaxCommandBytes int64

	// LimitsFor, if not nil, returns the limits of a client; client.Limits are the usual ones. It is
	// called when a connection arrives, for each login and by SetOptions, from many goroutines at
	// once. See "Limits by client" above.
	LimitsFor func(client Client) ClientLimits `toml:"-"`
	// Exempt are networks whose clients are never refused or disconnected, and never wait. What they
	// use still counts against the limits of others.
	Exempt []netip.Prefix

	// DryRun counts and reports refusals but does not make them: nobody waits, nobody is disconnected,
	// and SEARCHes are not shared. A command that would have waited in vain is reported after it has
	// run longer than its timeout.
	DryRun bool

	// UserKey returns what a user is counted by: names with one key are one user. If nil, case,
	// full-width letters and surrounding space do not matter. The client's name has up to 50 KB. It is
	// called from many goroutines at once. See "Who is counted as whom" above.
	UserKey func(name string) string `toml:"-"`
	// IPKey returns the network that an address is counted as; the zero Prefix means no limit. The
	// address is never IPv4-in-IPv6 and has no zone. If nil, it is the IPv4 address, or the /64 of an
	// IPv6 address. It is called from many goroutines at once.
	IPKey func(addr netip.Addr) netip.Prefix `toml:"-"`
	// Username, if not nil, returns the user of a backend session (without this module's wrappers)
	// after each login and PREAUTH greeting. "" keeps the name that the client gave.
	Username func(session imapserver.Session) string `toml:"-"`

	// Cluster, if not nil, makes MaxLoginsPerUser and MaxLoginsPerIP hold for the Limiters of several
	// processes and machines together; other limits hold for each Limiter. When it is replaced,
	// sessions stay with the Cluster that counted them.
	Cluster Cluster `toml:"-"`

	// OnEvent, if not nil, gets each refusal, each wait, and whatever else [EventKind] lists. It is
	// called from many goroutines at once, never under a lock. It should be quick, as the command
	// waits for it.
	OnEvent func(event Event) `toml:"-"`
}

// DefaultOptions returns new Options for a server of some hundred users: the default of each limit
// in [Declared], and nothing else.
func DefaultOptions() *Options {
	var o Options
	for _, l := range declared {
		l.field(&o).SetInt(l.initial)
	}
	return &o
}

// Validate returns an error if a number or a duration is negative, a network of Exempt is not
// valid, or JoinRunning is set without ShareSearches. The error names the field and its value.
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
