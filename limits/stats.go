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
	Logins          int // logins whose password is being checked
	LoginsWaiting   int // logins that wait for the outcome of others
	Fetches         int // FETCHes that run
	FetchesWaiting  int // FETCHes in the queue
	Searches        int // SEARCHes that run
	SearchesWaiting int // SEARCHes in the queue

	// Refused is how often each refusal was given since [New].
	Refused Refusals
}

// Refusals counts refusals by the limit that was reached.
type Refusals struct {
	Connections, ConnectionsPerIP uint64
	LoginsPerUser, LoginsPerIP    uint64
	FailedLogins                  uint64 // connections that were ended for their failed logins
	Fetches, Searches             uint64 // commands that waited in vain
	Left                          uint64 // commands and logins whose client hung up while they waited
	Closed                        uint64 // what came, or waited, when the Limiter was closed
}

// Stats returns the counts of now. Each is right by itself, but they are not taken at the same instant.
func (l *Limiter) Stats() Stats {
	var s Stats
	s.Connections = l.connections.count()
	s.Sessions, s.Logins, s.LoginsWaiting = l.logins.counts()
	s.Fetches, s.FetchesWaiting = l.fetches.counts()
	s.Searches, s.SearchesWaiting = l.searches.counts()
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
	switch refusal {
	case ErrTooManyConnections:
		r.total.Connections++
	case ErrTooManyIPConnections:
		r.total.ConnectionsPerIP++
	case ErrTooManyUserLogins:
		r.total.LoginsPerUser++
	case ErrTooManyIPLogins:
		r.total.LoginsPerIP++
	case errTooManyFailedLogins:
		r.total.FailedLogins++
	case ErrTooManyFetches:
		r.total.Fetches++
	case ErrTooManySearches:
		r.total.Searches++
	case errClientGone:
		r.total.Left++
	case ErrClosed:
		r.total.Closed++
	}
}

func (r *refusals) counts() Refusals {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}
