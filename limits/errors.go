package limits

import "github.com/emersion/go-imap/v2"

// What a client reads when it is refused. Each is one [*imap.Error], to be compared with
// [errors.Is]; its code is LIMIT, but TOOBIG for ErrAppendSize, and UNAVAILABLE for ErrClosed,
// ErrTooManyLoginChecks, ErrTooManyGuesses and ErrClusterUnavailable.
var (
	// ErrTooManyUserLogins refuses a login when MaxLoginsPerUser sessions of the user are logged in.
	ErrTooManyUserLogins = no("Too many logins for this user")
	// ErrTooManyIPLogins refuses a login when MaxLoginsPerIP sessions from the address are logged in.
	ErrTooManyIPLogins = no("Too many connections from this address!")
	// ErrTooManyLoginChecks refuses a login that has waited for 30 s for its password to be checked:
	// MaxLoginChecks, MaxLoginChecksPerIP. No client takes it for a wrong password.
	ErrTooManyLoginChecks = answer(
		imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable,
		"Too many logins at once - try again later",
	)
	// ErrTooManyGuesses refuses a login that has waited for 30 s behind others from its network, from
	// where there were wrong passwords: MaxGuessDelay.
	ErrTooManyGuesses = answer(
		imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable,
		"Too many wrong passwords from this address - try again later",
	)
	// ErrTooManyFetches refuses a FETCH that has waited for FetchQueueTimeout, or finds the queue
	// full: MaxWaiting, MaxWaitingPerUser.
	ErrTooManyFetches = no("Too many current FETCHes active")
	// ErrTooManySearches refuses a SEARCH that has waited for SearchQueueTimeout, or finds the queue
	// full: MaxWaiting, MaxWaitingPerUser.
	ErrTooManySearches = no("Too many concurrent searches - try again later")
	// ErrTooManyCommands refuses another command that has waited for CommandQueueTimeout, or finds
	// the queue full: MaxWaiting, MaxWaitingPerUser.
	ErrTooManyCommands = no("Too many commands active - try again later")

	// ErrFetchRunTimeout ends a FETCH that has run for FetchRunTimeout.
	ErrFetchRunTimeout = no("FETCH took too long")
	// ErrSearchRunTimeout ends a SEARCH that has run for SearchRunTimeout.
	ErrSearchRunTimeout = no("SEARCH took too long")
	// ErrListPatterns refuses a LIST with more than MaxListPatterns patterns.
	ErrListPatterns = no("Too many mailbox patterns")
	// ErrListWildcards refuses a LIST or LSUB whose patterns have more than MaxListWildcards
	// wildcards, or one that takes too long to match.
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

	// ErrClosed refuses after [Limiter.Close] logins and all commands that have a queue; connections
	// get a BYE with the same words.
	ErrClosed = answer(
		imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable, "The server is shutting down",
	)

	// ErrClusterUnavailable refuses a login that a [Cluster] cannot count, if that is what the Cluster
	// is told to do.
	ErrClusterUnavailable = answer(
		imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable,
		"Logins cannot be counted now - try again later",
	)

	// errTooManyFailedLogins refuses further logins until the connection is closed; as its BYE only
	// the text is sent.
	errTooManyFailedLogins = no("Too many failed login attempts")
	// errLoginTimeout refuses further logins until the connection is closed; as its BYE only the text
	// is sent.
	errLoginTimeout = no("No login within the time allowed")
	// errDisconnected refuses further logins until the connection is closed; as its BYE only the text
	// is sent that Disconnect was given.
	errDisconnected = answer(
		imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable, "The session was ended",
	)
	// errLoginBytes ends a connection that has sent more than MaxLoginBytes without a login, and
	// errCommandBytes refuses a command of more than MaxCommandBytes. The guard of the wire says both.
	errLoginBytes   = bye("Too much was sent without a login")
	errCommandBytes = no("The command is too large")
	// errClientGone ends a command whose client hung up while it waited. Nobody is there to read it,
	// unless the client closed only its own direction.
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

// errSearchBroke is what those get who waited for a SEARCH that panicked.
var errSearchBroke = answer(
	imap.StatusResponseTypeNo, imap.ResponseCodeServerBug, "Internal server error",
)
