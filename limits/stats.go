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
	ConnectionsEnding int // connections that were refused, and are not closed yet
	Sessions          int // sessions that are logged in
	LoginChecks       int // logins whose password is being checked
	LoginsWaiting     int // logins that wait for the outcome of others, or for a check
	LoginsDelayed     int // logins that wait because of wrong passwords from their network
	Fetches           int // FETCHes that run
	FetchesWaiting    int // FETCHes in the queue
	Searches          int // SEARCHes that run
	SearchesWaiting   int // SEARCHes in the queue
	SearchesJoined    int // SEARCHes that wait for an equal one, and hold no place in the queue
	Commands          int // other commands that run
	CommandsWaiting   int // other commands in the queue

	// Total is what has happened since [New] that was no refusal.
	Total Totals
	// Refused is how often each refusal was given since [New], or would have been without DryRun.
	Refused Refusals
	// Cluster is how Options.Cluster is, zero if there is none.
	Cluster ClusterStats
}

// Totals counts what is no refusal.
type Totals struct {
	Admitted         uint64 // commands and logins that went on after a wait
	Joined           uint64 // SEARCHes that were answered by an equal one
	Left             uint64 // commands and logins whose client hung up
	Evicted          uint64 // sessions that made room for a newer login of their user
	Disconnected     uint64 // sessions that were ended by Disconnect
	Delayed          uint64 // logins that went on after a wait for wrong passwords from their network
	WrongCredentials uint64 // logins that the backend has turned down
	Undecided        uint64 // logins that the Cluster could not decide, admitted or not
}

// Refusals counts refusals by the answer that was given.
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
	Closed                            uint64 // what came, or waited, when the Limiter was closed
	ClusterUnavailable                uint64 // logins that the Cluster could not count
}

// counts keeps what has happened.
type counts struct {
	mu    sync.Mutex
	stats Stats
}

// add counts one more of what the function points to.
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

// SessionInfo is what one connection holds and waits for.
type SessionInfo struct {
	ID        uint64         // unique in the Limiter, and larger for later connections
	User      string         // the user's key; "" if nobody is logged in, or the user is not known
	Addr      netip.AddrPort // the client's; the zero AddrPort if the connection has none
	TLS       bool
	LoggedIn  bool
	Ending    bool      // it was refused, and is not closed yet
	Connected time.Time // or since UNAUTHENTICATE
	Command   string    // what runs or waits, such as FETCH, or IDLE; "" if nothing
	Waiting   bool      // for a slot, or for the answer to an equal SEARCH
	Since     time.Time // of Command or, if that is "", of silence
}

// ClusterStats is how a [Cluster] is.
type ClusterStats struct {
	Leases int    // sessions of this machine that it has counted
	Errors uint64 // calls of its store that have failed or taken too long
	Down   bool   // the store is known not to answer, and logins do not ask it
}
