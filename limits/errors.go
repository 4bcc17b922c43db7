package limits

import "github.com/emersion/go-imap/v2"

// What a client reads when it is refused. Each is one [*imap.Error], to be compared with
// [errors.Is]; its code is LIMIT, but UNAVAILABLE for ErrClosed.
var (
	// ErrTooManyUserLogins refuses a login when MaxLoginsPerUser sessions of the user are logged
	// in.
	ErrTooManyUserLogins = limit(imap.StatusResponseTypeNo, "Too many logins for this user")
	// ErrTooManyIPLogins refuses a login when MaxLoginsPerIP sessions from the address are logged
	// in.
	ErrTooManyIPLogins = limit(imap.StatusResponseTypeNo, "Too many connections from this address!")
	// ErrTooManyFetches refuses a FETCH that has waited for FetchQueueTimeout, or finds the queue full:
	// MaxWaiting, MaxWaitingPerUser.
	ErrTooManyFetches = limit(imap.StatusResponseTypeNo, "Too many current FETCHes active")
	// ErrTooManySearches refuses a SEARCH that has waited for SearchQueueTimeout, or finds the queue
	// full: MaxWaiting, MaxWaitingPerUser.
	ErrTooManySearches = limit(
		imap.StatusResponseTypeNo, "Too many concurrent searches - try again later",
	)

	// ErrFetchRunTimeout ends a FETCH that has run for FetchRunTimeout.
	ErrFetchRunTimeout = limit(imap.StatusResponseTypeNo, "FETCH took too long")
	// ErrSearchRunTimeout ends a SEARCH that has run for SearchRunTimeout.
	ErrSearchRunTimeout = limit(imap.StatusResponseTypeNo, "SEARCH took too long")
	// ErrListWildcards refuses a LIST or LSUB with a pattern of more than MaxListWildcards
	// wildcards.
	ErrListWildcards = limit(imap.StatusResponseTypeNo, "Too many wildcards in a mailbox pattern")
	// ErrSearchTerms refuses a SEARCH of more than MaxSearchTerms terms.
	ErrSearchTerms = limit(imap.StatusResponseTypeNo, "Too many search terms")
	// ErrSearchDepth refuses a SEARCH that is nested deeper than MaxSearchDepth.
	ErrSearchDepth = limit(imap.StatusResponseTypeNo, "Search terms are nested too deep")
	// ErrAppendSize refuses an APPEND of more than MaxAppendSize bytes.
	ErrAppendSize = limit(imap.StatusResponseTypeNo, "The message is too large")

	// ErrTooManyConnections is the greeting when there are MaxConnections connections.
	ErrTooManyConnections = limit(imap.StatusResponseTypeBye, "Too many connections")
	// ErrTooManyIPConnections is the greeting when there are MaxConnectionsPerIP connections from
	// the address.
	ErrTooManyIPConnections = limit(
		imap.StatusResponseTypeBye, "Too many connections from this address!",
	)

	// ErrClosed refuses logins, FETCHes and SEARCHes after [Limiter.Close]; connections get a BYE
	// with the same words.
	ErrClosed = &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeUnavailable,
		Text: "The server is shutting down",
	}

	// errWrongCredentials is never sent: the client reads the backend's own answer.
	errWrongCredentials = &imap.Error{Type: imap.StatusResponseTypeNo, Text: "Wrong credentials"}

	// errTooManyFailedLogins refuses further logins until the connection is closed; as its BYE only
	// the text is sent.
	errTooManyFailedLogins = limit(imap.StatusResponseTypeNo, "Too many failed login attempts")

	// errLoginTimeout refuses further logins until the connection is closed; as its BYE only the
	// text is sent.
	errLoginTimeout = limit(imap.StatusResponseTypeNo, "No login within the time allowed")

	// errStalled is never sent: the client takes nothing.
	errStalled = limit(imap.StatusResponseTypeBye, "Nothing was read for too long")

	// errClientGone ends a command whose client hung up while it waited. Nobody is there to read
	// it, unless the client closed only its own direction.
	errClientGone = &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeUnavailable,
		Text: "The client hung up while the command waited",
	}
)

func limit(kind imap.StatusResponseType, text string) *imap.Error {
	return &imap.Error{Type: kind, Code: imap.ResponseCodeLimit, Text: text}
}

// asGreeting returns the refusal as the greeting of a connection.
func asGreeting(err *imap.Error) *imap.Error {
	return &imap.Error{Type: imap.StatusResponseTypeBye, Code: err.Code, Text: err.Text}
}
