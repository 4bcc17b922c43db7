package limits

import (
	"net/netip"
	"sync"
	"time"
)

// Stats is what a [Limiter] counts.
type Stats struct {
	// What is in use now.
	Connections       int // connections, logged in or not
	ConnectionsEnding int // refused connections that are not closed yet
	Sessions          int // sessions that are logged in
	LoginChecks       int // logins whose password is being checked
	LoginsWaiting     int // logins that wait for other logins, or for a check
	LoginsDelayed     int // logins that wait because of wrong passwords from their network
	Fetches           int // FETCHes that run
	FetchesWaiting    int // FETCHes in the queue
	Searches          int // SEARCHes that run
	SearchesWaiting   int // SEARCHes in the queue
	SearchesJoined    int // SEARCHes that wait for an equal one, outside the queue
	Commands          int // other commands that run
	CommandsWaiting   int // other commands in the queue

	// Total counts what has happened since [New], other than refusals.
	Total Totals
	// Refused counts how often each refusal was given since [New]; with DryRun, how often it would
	// have been.
	Refused Refusals
	// Cluster is the state of Options.Cluster, zero if there is none.
	Cluster ClusterStats
}

// Totals counts everything but refusals.
type Totals struct {
	Admitted         uint64 // commands and logins that went on after a wait
	Joined           uint64 // SEARCHes that were answered by an equal one
	Left             uint64 // commands and logins whose client hung up
	Evicted          uint64 // sessions that made room for a newer login of their user
	Disconnected     uint64 // sessions that were ended by Disconnect
	Delayed          uint64 // logins that went on after a delay for wrong passwords
	WrongCredentials uint64 // logins with wrong credentials
	Undecided        uint64 // logins that the Cluster could not decide, let in or not
}

// Refusals counts refusals by their answer.
type Refusals struct {
	Connections, ConnectionsPerIP     uint64
	LoginsPerUser, LoginsPerIP        uint64
	FailedLogins                      uint64 // connections that were ended for their failed logins
	LoginChecks                       uint64 // logins that waited in vain for a check
	Guesses                           uint64 // logins that waited in vain after wrong passwords
	LoginTimeout                      uint64 // connections that were closed because nobody logged in
	Fetches, Searches, Commands       uint64 // commands that waited in vain, or found the queue full
	FetchRunTimeout, SearchRunTimeout uint64 // commands that were stopped because they ran too long
	Stalled                           uint64 // connections closed because their client stalled
	ListPatterns, ListWildcards       uint64
	MailboxName                       uint64
	SearchTerms, SearchDepth          uint64
	AppendSize                        uint64
	LoginBytes, CommandBytes          uint64
	Closed                            uint64 // all that waited or came after Close
	ClusterUnavailable                uint64 // logins that the Cluster could not count
}

// counts has the counters of Stats that only grow.
type counts struct {
	mu    sync.Mutex
	stats Stats
}

// add adds one to the counter that the function returns.
func (c *counts) add(count func(*Stats) *uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*count(&c.stats)++
}

func (c *counts) get() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// SessionInfo says what one connection holds and what it waits for.
type SessionInfo struct {
	ID        uint64         // unique in the Limiter, and larger for later connections
	User      string         // the user's key; "" if nobody is logged in, or the user is not known
	Addr      netip.AddrPort // of the client; the zero AddrPort if there is none
	TLS       bool
	LoggedIn  bool
	Ending    bool      // refused, but not closed yet
	Connected time.Time // when it connected, or the time of UNAUTHENTICATE
	Command   string    // the command that runs or waits, such as FETCH or IDLE; "" if none
	Waiting   bool      // for a slot, or for the answer to an equal SEARCH
	Since     time.Time // when Command or, if that is "", the silence began
}

// ClusterStats is the state of a [Cluster].
type ClusterStats struct {
	Leases int    // sessions of this machine that it counts
	Errors uint64 // calls of its store that failed or took too long
	Down   bool   // the store does not answer, and logins do not ask it
}
