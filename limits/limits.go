// Package limits decides who may connect, log in, FETCH, SEARCH and run other commands on an IMAP
// server, how many at once, and how long the others may wait in a queue.
//
//	limiter := limits.New(options)
//	server := imapserver.New(&imapserver.Options{
//		NewSession: limiter.Wrap(backend.NewSession),
//		TLSConfig:  tlsConfig,
//	})
//
// A [Limiter] wraps the NewSession function of any go-imap server. It counts in memory, for the
// servers of this process that share the Limiter; a [Cluster] counts logins over several processes.
// Refusals follow RFC 5530: a tagged NO or a BYE with the code LIMIT, and a text. Only the BYEs of
// MaxFailedLogins and LoginTimeout have no code.
//
// # Who is counted as whom
//
// A user is counted by a canonical name ([Options.UserKey]). An address is counted by itself or,
// for IPv6, by its /64 network ([Options.IPKey]). The name is the one that the client gave to LOGIN
// or in a SASL exchange with PLAIN, LOGIN, EXTERNAL, OAUTHBEARER, XOAUTH2 or SCRAM. If a client
// names two identities, the session counts as the one that it acts as. Set [Options.Username] if
// the backend ignores that second identity, has aliases or other mechanisms, or greets with
// PREAUTH. A session whose user is not known counts only for its address, and takes turns in the
// queues under it.
//
// Names with one key are one user. A backend may accept several spellings for one account: "karen"
// and "karen@example.com", "rené" in both normalization forms, or "rene" by the collation of its
// database. Then UserKey should map them as the backend does, or Username should return the
// account. Otherwise a client could use each spelling as a user of its own.
//
// # Logins
//
// A password check is expensive, so a storm of logins must not cost one check each. But a limit on
// a user's logins must not let strangers lock that user out, or find out whether the account exists
// or is in use. Two rules ensure both. They hold for each pair of a user and an address, so logins
// from one address never wait for those from another:
//
//   - While no session of the user is logged in from the address, its logins are checked one at
//     a time, whatever the state of the account and its limits: a stranger always gets the
//     backend's own answer, at the same pace.
//   - While there is such a session, as many logins are checked at once as the limits still have
//     room for. When the user is at the limit, logins are refused without a password check.
//
// A login takes its place only after the backend has accepted the password. A login that has waited
// 30 s for the outcome of others is refused with [ErrTooManyUserLogins], or with
// [ErrTooManyIPLogins] if LimitsFor gives the user no limit. Each login is checked at once if there
// is no limit on the logins of users, or if the connection has no address, such as a Unix socket:
// nobody can then say who is a stranger.
//
// A login that may be checked then needs a slot for the check, one of its network and one of the
// server ([Options.MaxLoginChecks]); networks take turns. Before that, it waits if there were wrong
// passwords from its network ([Options.MaxGuessDelay]). That wait delays nobody in other networks.
//
// # Queues
//
// There are three queues: for FETCHes, for SEARCHes, and for all other commands that reach the
// backend. A command needs a slot of its user and one of the server, and gets both together. One
// user's commands run first come, first served; users take turns. So a user with one command waits
// for one round, however many commands the others have sent.
//
// # Wrong credentials
//
// Wrong credentials are [imapserver.ErrAuthFailed], a [sasl.OAuthBearerError], and any other NO
// that is an [imap.Error], except with the codes UNAVAILABLE, SERVERBUG, INUSE, CONTACTADMIN,
// PRIVACYREQUIRED and LIMIT. An error of another type does not count, as go-imap answers it with
// SERVERBUG. A successful login does not reset the count of MaxFailedLogins. Otherwise
// UNAUTHENTICATE (RFC 8437) would give the owner of any account endless guesses.
//
// # Guesses
//
// A wrong password makes the next check from its network, an IPv4 address or an IPv6 /64, wait for
// 2 s, the next one 4 s, 8 s and so on up to MaxGuessDelay. All connections of the network share
// this delay and are checked one at a time. The same name and password again do not count: that is
// a phone with an old password. One wrong password is forgiven every 15 minutes. Users who have
// logged in from the network within a week do not wait, nor does anybody in other networks. In a
// SASL exchange with two identities that is the user whose password is checked. A /48 in which 16
// /64s have guessed waits as a whole.
//
// # Shared searches
//
// Searches are equal if they ask for the same in the same account and mailbox, at the same local
// address and TLS server name. With ShareSearches they share one answer. That is correct if two
// things hold. A SEARCH must look at the mailbox as it is, or at a view that the session's Poll
// renews, which is called before. And one name must mean one mailbox at one local address and TLS
// server name. To find out, select a mailbox in two sessions, append a message in one, and send
// NOOP and UID SEARCH ALL in the other: the answer must have the new UID. Without ShareSearches
// equal searches still run one after another, so that repeats cannot pile up.
//
// # Limits by client
//
// LimitsFor is called when a connection arrives (without a user), for each login (with the name
// that the client claims, and again without one if the login failed) and by SetOptions. A stranger
// can see the refusals of MaxLoginsPerIP, MaxFailedLogins and MaxLoginChecksPerIP, and the delays
// of MaxGuessDelay, so they should depend only on the address.
package limits

import (
	"context"
	"slices"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/admission"
)

// New returns a Limiter with a copy of the options; nil means the zero Options (not
// [DefaultOptions]), which limit nothing. It panics if [Options.Validate] returns an error.
func New(options *Options) *Limiter {
	l := &Limiter{
		logins:   admission.Logins[*session]{Timeout: loginWait},
		checks:   queue{all: maxLoginChecks, own: maxLoginChecksPerIP, silent: true},
		guessing: queue{all: maxGuessDelay, own: maxGuessDelay, silent: true},
		fetches: queue{
			command: commandFetch, all: maxFetches, own: maxFetchesPerUser,
		},
		searches: queue{
			command: commandSearch, all: maxSearches, own: maxSearchesPerUser,
		},
		commands: queue{all: maxCommands, own: maxCommandsPerUser},
	}
	for i, gate := range l.gates() {
		gate.Number = i
	}
	l.open, l.shut = context.WithCancelCause(context.Background())
	l.flights.Gate, l.flights.Broken = &l.searches.gate, errSearchBroke
	l.settings.Store(newSettings(Options{}))
	if err := l.SetOptions(options); err != nil {
		panic(err)
	}
	return l
}

// SetOptions replaces all options with a copy of the given ones; nil means the zero Options. They
// hold at once, also for connected sessions and waiting commands, whose timeouts count from their
// arrival. A lower limit stops nothing that runs. On an error of [Options.Validate] nothing has
// changed.
func (l *Limiter) SetOptions(options *Options) error {
	var o Options
	if options != nil {
		o = *options
	}
	if err := o.Validate(); err != nil {
		return err
	}
	l.changing.Lock()
	defer l.changing.Unlock()
	settings := newSettings(o)
	l.hearGuesses(settings)
	close(l.settings.Swap(settings).replaced)
	for _, s := range l.sessions.all() {
		s.applyOptions()
	}
	if l.sessions.count() > 0 {
		l.stalls.watch(l)
	}
	l.logins.Review()
	l.checks.gate.SetLimits(admission.GateLimits{Max: o.MaxLoginChecks, Timeout: loginWait})
	l.guessing.gate.SetLimits(admission.GateLimits{Timeout: loginWait})
	l.fetches.gate.SetLimits(admission.GateLimits{
		Max: o.MaxFetches, MaxWaiting: o.MaxWaiting, Timeout: o.FetchQueueTimeout,
	})
	l.searches.gate.SetLimits(admission.GateLimits{
		Max: o.MaxSearches, MaxWaiting: o.MaxWaiting, Timeout: o.SearchQueueTimeout,
	})
	l.commands.gate.SetLimits(admission.GateLimits{
		Max: o.MaxCommands, MaxWaiting: o.MaxWaiting, Timeout: o.CommandQueueTimeout,
	})
	l.flights.SetTimeout(o.SearchQueueTimeout)
	return nil
}

// Close refuses with [ErrClosed] all that waits or comes later: connections with a BYE, logins and
// commands that have a queue with a NO. Running commands go on and release their slots, but a
// backend with FetchContext or SearchContext is told to stop. Call it before the server's own
// Close, which does not wake waiting commands. It returns nil, and may be called again.
func (l *Limiter) Close() error {
	l.closed.Store(true)
	l.shut(&stopReason{refusal{limit: limiterClosed}})
	l.logins.Close()
	for _, gate := range l.gates() {
		gate.Close()
	}
	l.flights.Close()
	return nil
}

func (l *Limiter) gates() [5]*admission.Gate {
	return [...]*admission.Gate{
		&l.checks.gate, &l.guessing.gate, &l.fetches.gate, &l.searches.gate, &l.commands.gate,
	}
}

// Options returns a copy of the options that are in force.
func (l *Limiter) Options() *Options {
	o := l.settings.Load().Options
	o.Exempt = slices.Clone(o.Exempt)
	return &o
}

// Wrap returns a NewSession function that puts the limits of l on the sessions of next. Put it
// outside all other wrappers, so that it refuses before they do any work. A wrapped session has
// exactly the optional interfaces of the original. If one Limiter wraps another, each limits by
// itself.
func (l *Limiter) Wrap(next NewSessionFunc) NewSessionFunc {
	backend := l.backends.Add(1)
	return func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return l.newSession(conn, next, backend)
	}
}
