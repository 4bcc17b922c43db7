package limits

import "github.com/emersion/go-imap/v2"

// The refusals that a client reads. Each is one [*imap.Error], to be compared with [errors.Is]. The
// code is LIMIT, except TOOBIG for ErrAppendSize, and UNAVAILABLE for ErrClosed,
// ErrTooManyLoginChecks, ErrTooManyGuesses and ErrClusterUnavailable.
var (
	// ErrTooManyUserLogins refuses a login when MaxLoginsPerUser sessions of the user are logged in.
	ErrTooManyUserLogins = no("Too many logins for this user")
	// ErrTooManyIPLogins refuses a login when MaxLoginsPerIP sessions from the address are logged in.
	ErrTooManyIPLogins = no("Too many connections from this address!")
	// ErrTooManyLoginChecks refuses a login that has waited 30 s for a password check, because of
	// MaxLoginChecks or MaxLoginChecksPerIP. Clients do not mistake it for a wrong password.
	ErrTooManyLoginChecks = answer(
		imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable,
		"Too many logins at once - try again later",
	)
	// ErrTooManyGuesses refuses a login that has waited 30 s behind others from its network, after
	// wrong passwords from there (MaxGuessDelay).
	ErrTooManyGuesses = answer(
		imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable,
		"Too many wrong passwords from this address - try again later",
	)
	// ErrTooManyFetches refuses a FETCH that has waited for FetchQueueTimeout, or that finds the queue
	// full (MaxWaiting, MaxWaitingPerUser).
	ErrTooManyFetches = no("Too many current FETCHes active")
	// ErrTooManySearches refuses a SEARCH that has waited for SearchQueueTimeout, or that finds the
	// queue full (MaxWaiting, MaxWaitingPerUser).
	ErrTooManySearches = no("Too many concurrent searches - try again later")
	// ErrTooManyCommands refuses any other command that has waited for CommandQueueTimeout, or that
	// finds the queue full (MaxWaiting, MaxWaitingPerUser).
	ErrTooManyCommands = no("Too many commands active - try again later")

	// ErrFetchRunTimeout ends a FETCH that has run for FetchRunTimeout.
	ErrFetchRunTimeout = no("FETCH took too long")
	// ErrSearchRunTimeout ends a SEARCH that has run for SearchRunTimeout.
	ErrSearchRunTimeout = no("SEARCH took too long")
	// ErrListPatterns refuses a LIST with more than MaxListPatterns patterns.
	ErrListPatterns = no("Too many mailbox patterns")
	// ErrListWildcards refuses a LIST or LSUB with more than MaxListWildcards wildcards in all its
	// patterns, or with a pattern that takes too long to match.
	ErrListWildcards = no("Too many wildcards in a mailbox pattern")
	// ErrMailboxName refuses a CREATE or RENAME to a name of more than MaxMailboxName bytes.
	ErrMailboxName = no("The mailbox name is too long")
	// ErrSearchTerms refuses a SEARCH of more than MaxSearchTerms terms.
	ErrSearchTerms = no("Too many search terms")
	// ErrSearchDepth refuses a SEARCH that is nested deeper than MaxSearchDepth.
	ErrSearchDepth = no("Search terms are nested too deep")
	// ErrAppendSize refuses an APPEND of more than MaxAppendSize bytes (RFC 7889 section 4).
	ErrAppendSize = answer(
		imap.StatusResponseTypeNo, imap.ResponseCodeTooBig, "The message is too large",
	)

	// ErrTooManyConnections is the greeting when there are MaxConnections connections.
	ErrTooManyConnections = bye("Too many connections")
	// ErrTooManyIPConnections is the greeting when there are MaxConnectionsPerIP connections from the
	// address.
	ErrTooManyIPConnections = bye("Too many connections from this address!")

	// ErrClosed refuses logins, and commands that have a queue, after [Limiter.Close]. Connections get
	// a BYE with the same text.
	ErrClosed = answer(
		imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable, "The server is shutting down",
	)

	// ErrClusterUnavailable refuses a login that a [Cluster] cannot count, if the Cluster is
	// configured to refuse then.
	ErrClusterUnavailable = answer(
		imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable,
		"Logins cannot be counted now - try again later",
	)

	// errTooManyFailedLogins refuses further logins until the connection is closed. The BYE has only
	// its text.
	errTooManyFailedLogins = no("Too many failed login attempts")
	// errLoginTimeout refuses further logins until the connection is closed. The BYE has only its
	// text.
	errLoginTimeout = no("No login within the time allowed")
	// errDisconnected refuses further logins until the connection is closed. The BYE has only the text
	// that Disconnect was given.
	errDisconnected = answer(
		imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable, "The session was ended",
	)
	// errLoginBytes ends a connection that has sent more than MaxLoginBytes before a login, and
	// errCommandBytes refuses a command of more than MaxCommandBytes. The guard on the wire sends
	// both.
	errLoginBytes   = bye("Too much was sent without a login")
	errCommandBytes = no("The command is too large")
	// errClientGone ends a command whose client hung up while it waited. Only a client that closed
	// just its sending side can still read it.
	errClientGone = answer(
		imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable,
		"The client hung up while the command waited",
	)
)

func no(text string) *imap.Error {
	return answer(imap.StatusResponseTypeNo, imap.ResponseCodeLimit, text)
}

func bye(text string) *imap.Error {
	return answer(imap.StatusResponseTypeBye, imap.ResponseCodeLimit, text)
}

func answer(kind imap.StatusResponseType, code imap.ResponseCode, text string) *imap.Error {
	return &imap.Error{Type: kind, Code: code, Text: text}
}

// asGreeting returns the refusal as the greeting of a connection.
func asGreeting(err *imap.Error) *imap.Error {
	return answer(imap.StatusResponseTypeBye, err.Code, err.Text)
}

// errSearchBroke answers the SEARCHes that waited for an equal one that panicked.
var errSearchBroke = answer(
	imap.StatusResponseTypeNo, imap.ResponseCodeServerBug, "Internal server error",
)
