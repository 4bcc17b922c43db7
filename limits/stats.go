package limits

import (
	"sync"

	"github.com/emersion/go-imap/v2"
)

// Stats is what a [Limiter] counts.
type Stats struct {
	// What is in use now.
	Connections     int // connections, logged in or not
	Sessions        int // sessions that are logged in
	LoginChecks     int // logins whose password is being checked
	LoginsWaiting   int // logins that wait for the outcome of others
	Fetches         int // FETCHes that run
	FetchesWaiting  int // FETCHes in the queue
	Searches        int // SEARCHes that run
	SearchesWaiting int // SEARCHes in the queue
	SearchesJoined  int // SEARCHes that wait for the answer to an identical one, and hold no place of their own

	// Refused is how often each refusal was given since [New], or would have been without DryRun.
	Refused Refusals
}

// Refusals counts refusals by the limit that was reached: a field without a comment by the one of
// [Options] with Max before its name.
type Refusals struct {
	Connections, ConnectionsPerIP     uint64
	LoginsPerUser, LoginsPerIP        uint64
	WrongCredentials                  uint64 // logins that the backend has turned down, whether a limit was reached or not
	FailedLogins                      uint64 // connections that were ended for their failed logins
	LoginTimeout                      uint64 // connections that were closed because nobody logged in
	Fetches, Searches                 uint64 // commands that waited in vain, or found the queue full
	FetchRunTimeout, SearchRunTimeout uint64 // commands that were stopped because they ran too long
	Stalled                           uint64 // connections that were closed because their client took nothing
	ListWildcards                     uint64
	SearchTerms, SearchDepth          uint64
	AppendSize                        uint64
	LoginBytes, CommandBytes          uint64
	Left                              uint64 // commands and logins whose client hung up
	Closed                            uint64 // what came, or waited, when the Limiter was closed
}

// Stats returns the counts of now. Each is right by itself, but they are not taken at the same
// instant.
func (l *Limiter) Stats() Stats {
	var s Stats
	s.Connections = l.connections.count()
	s.Sessions, s.LoginChecks, s.LoginsWaiting = l.logins.counts()
	s.Fetches, s.FetchesWaiting = l.fetches.counts()
	s.Searches, s.SearchesWaiting = l.searches.counts()
	s.SearchesJoined = l.flights.joinedCount()
	s.Refused = l.refusals.counts()
	return s
}

// refusals keeps the totals.
type refusals struct {
	mu    sync.Mutex
	total Refusals
}

func (r *refusals) add(refusal *imap.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if count := r.of(refusal); count != nil {
		*count++
	}
}

func (r *refusals) of(refusal *imap.Error) *uint64 {
	switch refusal {
	case ErrTooManyConnections:
		return &r.total.Connections
	case ErrTooManyIPConnections:
		return &r.total.ConnectionsPerIP
	case ErrTooManyUserLogins:
		return &r.total.LoginsPerUser
	case ErrTooManyIPLogins:
		return &r.total.LoginsPerIP
	case errWrongCredentials:
		return &r.total.WrongCredentials
	case errTooManyFailedLogins:
		return &r.total.FailedLogins
	case errLoginTimeout:
		return &r.total.LoginTimeout
	case ErrTooManyFetches:
		return &r.total.Fetches
	case ErrTooManySearches:
		return &r.total.Searches
	case ErrFetchRunTimeout:
		return &r.total.FetchRunTimeout
	case ErrSearchRunTimeout:
		return &r.total.SearchRunTimeout
	case errStalled:
		return &r.total.Stalled
	case ErrListWildcards:
		return &r.total.ListWildcards
	case ErrSearchTerms:
		return &r.total.SearchTerms
	case ErrSearchDepth:
		return &r.total.SearchDepth
	case ErrAppendSize:
		return &r.total.AppendSize
	case errClientGone:
		return &r.total.Left
	case ErrClosed:
		return &r.total.Closed
	default:
		return nil
	}
}

func (r *refusals) counts() Refusals {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}
