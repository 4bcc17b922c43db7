// Package limits decides who may connect, log in, FETCH, SEARCH and run other commands on an IMAP
// server, how many at once, and how long the rest may queue.
//
//	limiter := limits.New(options)
//	server := imapserver.New(&imapserver.Options{
//		NewSession: limiter.Wrap(backend.NewSession),
//		TLSConfig:  tlsConfig,
//	})
//
// A [Limiter] wraps the NewSession function of any go-imap server. It counts in memory, for the
// servers of this process that share the Limiter; a [Cluster] counts logins over several. What it
// refuses is answered as RFC 5530 has it: a tagged NO or a BYE with the code LIMIT, and a text; the
// BYEs of MaxFailedLogins and LoginTimeout have the text only.
//
// # Who is counted as whom
//
// A user is counted by a canonical name ([Options.UserKey]), an address by itself or, for IPv6, by
// its /64 network ([Options.IPKey]). The name is the one the client gave to LOGIN or inside a SASL
// exchange: PLAIN, LOGIN, EXTERNAL, OAUTHBEARER, XOAUTH2 and SCRAM are understood, and where a
// client names two identities it is the one that the session acts as. A backend that ignores that
// second identity, has aliases, other mechanisms, or greets with PREAUTH says itself who logged in,
// with [Options.Username]. A session whose user cannot be known counts for its address only, and
// takes its turns in the queues as its address.
//
// Names with one key are one user. A backend that takes several spellings for one account ("karen"
// and "karen@example.com", "rené" in both normalization forms, "rene" by the collation of its
// database) should do in UserKey what it does there, or give Username, or a client could count each
// apart.
//
// # Logins
//
// A password check is expensive, so a storm of logins must not cost one each. And a limit on the
// logins of a user must not become a way to lock that user out, or to ask whether the account
// exists or is in use. Two rules see to both. They hold for each pair of a user and an address, so
// that nobody's logins wait for those of another address:
//
//   - While no session of the user is logged in from the address, its logins are checked one at a
//     time, whatever the state of the account and its limits: a stranger always gets the backend's
//     own answer, at the same pace.
//   - When there is such a session, as many are checked at once as could still be admitted, and
//     none when the user is at the limit: those are refused without a password check.
//
// A slot is taken only after the backend has accepted the password. A login that has waited 30 s
// for the outcome of others is refused with [ErrTooManyUserLogins], or with [ErrTooManyIPLogins] if
// LimitsFor gives the user no limit. Without a limit on the logins of users there is no need for
// any of this, and of connections without an address, such as a Unix socket's, nobody can say who
// is a stranger to whom: there each login is checked.
//
// A login that may be checked then needs a slot for the check, of its network and of the server
// ([Options.MaxLoginChecks]), for which networks take turns. Before that it waits if there were
// wrong passwords from its network ([Options.MaxGuessDelay]), and keeps nobody in other networks
// waiting.
//
// # Queues
//
// There are three: for FETCHes, for SEARCHes, and for all other commands that reach the backend. A
// command needs a slot of its user and one of the server. Both are granted together, within a user
// first come first served, and between users turn by turn, so that a user with one command waits
// for one round, however many the others have sent.
//
// # Wrong credentials
//
// Wrong credentials are [imapserver.ErrAuthFailed], a [sasl.OAuthBearerError], and any other NO
// that is an [imap.Error], except with the codes UNAVAILABLE, SERVERBUG, INUSE, CONTACTADMIN,
// PRIVACYREQUIRED and LIMIT. An error of another type does not count: go-imap tells the client that
// it is a SERVERBUG. A successful login does not start the count of MaxFailedLogins again, or
// UNAUTHENTICATE (RFC 8437) would give any account owner endless guesses.
//
// # Guesses
//
// A wrong password makes the next check from its network, an IPv4 address or an IPv6 /64, wait for
// 2 s, the next one 4 s, 8 s and so on up to MaxGuessDelay, on whatever connections, one at a time.
// The same name and password again do not count: that is a phone with an old password. One wrong
// password is forgiven every 15 minutes. A user who has logged in from the network within a week
// does not wait, and nobody does in other networks. A /48 in which 16 /64s have guessed waits as a
// whole.
//
// # Shared searches
//
// Searches are equal if they are of the same account, mailbox, local address and TLS server name.
// With ShareSearches they are answered together. That is right if a SEARCH looks at the mailbox as
// it is, or at a view that the session's Poll renews, which is called before; and if one name, at
// one local address and TLS server name, is one mailbox. To find out, select a mailbox in two
// sessions, append a message in one, and send NOOP and UID SEARCH ALL in the other: the new UID is
// in the answer. Without ShareSearches equal ones still run one after another, so that repeats
// cannot pile up.
//
// # Limits by client
//
// LimitsFor is called when a connection comes (without a user), for each login (with the name that
// the client claims, and without one again when the login has failed) and by SetOptions. A stranger
// can see MaxLoginsPerIP and MaxFailedLogins refuse: let them depend on the address only.
package limits

import (
	"context"
	"slices"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/admission"
)

// New returns a Limiter with a copy of the options; nil stands for the zero Options, which limit
// nothing. It panics with the error of [Options.Validate] if there is one.
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
	l.open, l.shut = context.WithCancelCause(context.Background())
	l.flights.Gate, l.flights.Broken = &l.searches.gate, errSearchBroke
	if err := l.SetOptions(options); err != nil {
		panic(err)
	}
	return l
}

// SetOptions replaces all options by a copy of the given ones; nil stands for the zero Options. It
// takes effect at once, also for sessions that are connected and commands that wait: a command that
// waits is admitted as soon as a raised limit has room, and its timeout counts from its arrival.
// Who is inside stays inside when a limit goes down. The error is that of [Options.Validate], and
// then nothing has changed.
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
	l.hearGuesses(settings.guesses)
	if before := l.settings.Swap(settings); before != nil {
		close(before.replaced)
	}
	for _, s := range l.sessions.all() {
		s.refreshLimits() // if LimitsFor has none that are valid, they stay what they were
		s.armLoginTimeout()
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

// Close makes everything that waits give up with [ErrClosed], and refuses what comes after:
// connections with a BYE, logins and commands that have a queue with a NO. What runs goes on and
// gives its slots back, but a backend with FetchContext or SearchContext is told to stop. Call it
// before the server's own Close, which does not wake commands that wait. It returns nil, and may be
// called again.
func (l *Limiter) Close() error {
	l.closed.Store(true)
	l.shut(&stopReason{refusal{limit: limiterClosed}})
	l.logins.Close()
	l.checks.gate.Close()
	l.guessing.gate.Close()
	l.fetches.gate.Close()
	l.searches.gate.Close()
	l.commands.gate.Close()
	l.flights.Close()
	return nil
}

// Options returns a copy of the options that are in force.
func (l *Limiter) Options() *Options {
	o := l.settings.Load().Options
	o.Exempt = slices.Clone(o.Exempt)
	return &o
}

// Wrap returns a NewSession function whose sessions are those of next with the limits of l on them.
// It goes outside every other wrapper, so that it refuses before any other work is done. A wrapped
// session has exactly the optional interfaces of the session it wraps. Inside another Limiter, each
// limits by itself.
func (l *Limiter) Wrap(next NewSessionFunc) NewSessionFunc {
	backend := l.backends.Add(1)
	return func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return l.newSession(conn, next, backend)
	}
}
