package limits

import (
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"
)

// A limit is the only declaration of a field of Options that limits something. It has the default,
// the answer that the client reads, the kind of event, and the counter. Options, Validate,
// DefaultOptions, Stats, events and [Declared] all take them from here.
type limit struct {
	option  string // the name of the field; "" for a refusal that is not a setting
	initial int64  // the default; a time is in nanoseconds
	isTime  bool   // it is a time.Duration, otherwise a number
	help    string
	// answer is what the client reads; nil if the limit uses the answer of another one, or has none.
	answer *imap.Error
	kind   EventKind                // of the event
	count  func(*Stats) *uint64     // its counter; nil if it is counted under another limit
	retry  *limit                   // how long until another try makes sense; nil if not known
	inUse  func(*Stats) (used *int) // how much of it is in use; nil if not counted
	waits  func(*Stats) (wait *int) // how many wait for it; nil if nothing does

	at int // its index in declared
}

// The limits, in the order of Options.
var (
	maxConnections = &limit{
		option: "MaxConnections", initial: 10_000, help: "connections at once, logged in or not",
		answer: ErrTooManyConnections, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.Connections },
		inUse: func(s *Stats) *int { return &s.Connections },
	}
	maxConnectionsPerIP = &limit{
		option: "MaxConnectionsPerIP", initial: 300, help: "connections at once from one address",
		answer: ErrTooManyIPConnections, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.ConnectionsPerIP },
	}
	maxLoginsPerUser = &limit{
		option: "MaxLoginsPerUser", initial: 20, help: "sessions of one user that are logged in",
		answer: ErrTooManyUserLogins, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.LoginsPerUser },
		inUse: func(s *Stats) *int { return &s.Sessions },
	}
	maxLoginsPerIP = &limit{
		option: "MaxLoginsPerIP", initial: 100, help: "sessions from one address that are logged in",
		answer: ErrTooManyIPLogins, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.LoginsPerIP },
	}
	maxFailedLogins = &limit{
		option: "MaxFailedLogins", initial: 3, help: "wrong passwords on one connection",
		answer: errTooManyFailedLogins, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.FailedLogins },
	}
	maxLoginChecks = &limit{
		option: "MaxLoginChecks", initial: 16, help: "password checks at once",
		answer: ErrTooManyLoginChecks, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.LoginChecks },
		inUse: func(s *Stats) *int { return &s.LoginChecks },
		waits: func(s *Stats) *int { return &s.LoginsWaiting },
	}
	maxLoginChecksPerIP = &limit{
		option: "MaxLoginChecksPerIP", initial: 4, help: "password checks at once from one address",
		answer: ErrTooManyLoginChecks, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.LoginChecks },
	}
	maxGuessDelay = &limit{
		option: "MaxGuessDelay", isTime: true, initial: int64(15 * time.Second), kind: EventRefused,
		help:   "longest delay of a login after wrong passwords from its network",
		answer: ErrTooManyGuesses,
		count:  func(s *Stats) *uint64 { return &s.Refused.Guesses },
		waits:  func(s *Stats) *int { return &s.LoginsDelayed },
	}
	maxFetches = &limit{
		option: "MaxFetches", initial: 50, help: "FETCH commands running at once",
		answer: ErrTooManyFetches, kind: EventRefused, retry: fetchQueueTimeout,
		count: func(s *Stats) *uint64 { return &s.Refused.Fetches },
		inUse: func(s *Stats) *int { return &s.Fetches },
		waits: func(s *Stats) *int { return &s.FetchesWaiting },
	}
	maxFetchesPerUser = &limit{
		option: "MaxFetchesPerUser", initial: 10, help: "FETCH commands of one user running at once",
		answer: ErrTooManyFetches, kind: EventRefused, retry: fetchQueueTimeout,
		count: func(s *Stats) *uint64 { return &s.Refused.Fetches },
	}
	fetchQueueTimeout = &limit{
		option: "FetchQueueTimeout", isTime: true, initial: int64(40 * time.Second),
		help: "longest time a FETCH waits in the queue",
	}
	maxSearches = &limit{
		option: "MaxSearches", initial: 20, help: "SEARCH commands running at once",
		answer: ErrTooManySearches, kind: EventRefused, retry: searchQueueTimeout,
		count: func(s *Stats) *uint64 { return &s.Refused.Searches },
		inUse: func(s *Stats) *int { return &s.Searches },
		waits: func(s *Stats) *int { return &s.SearchesWaiting },
	}
	maxSearchesPerUser = &limit{
		option: "MaxSearchesPerUser", initial: 3, help: "SEARCH commands of one user running at once",
		answer: ErrTooManySearches, kind: EventRefused, retry: searchQueueTimeout,
		count: func(s *Stats) *uint64 { return &s.Refused.Searches },
	}
	searchQueueTimeout = &limit{
		option: "SearchQueueTimeout", isTime: true, initial: int64(30 * time.Second),
		help: "longest time a SEARCH waits in the queue",
	}
	maxCommands = &limit{
		option: "MaxCommands", initial: 100, help: "other commands running at once",
		answer: ErrTooManyCommands, kind: EventRefused, retry: commandQueueTimeout,
		count: func(s *Stats) *uint64 { return &s.Refused.Commands },
		inUse: func(s *Stats) *int { return &s.Commands },
		waits: func(s *Stats) *int { return &s.CommandsWaiting },
	}
	maxCommandsPerUser = &limit{
		option: "MaxCommandsPerUser", initial: 10, help: "other commands of one user running at once",
		answer: ErrTooManyCommands, kind: EventRefused, retry: commandQueueTimeout,
		count: func(s *Stats) *uint64 { return &s.Refused.Commands },
	}
	commandQueueTimeout = &limit{
		option: "CommandQueueTimeout", isTime: true, initial: int64(40 * time.Second),
		help: "longest time another command waits in the queue",
	}
	maxWaiting = &limit{
		option: "MaxWaiting", kind: EventRefused, help: "commands that wait in each of the queues",
	}
	maxWaitingPerUser = &limit{
		option: "MaxWaitingPerUser", kind: EventRefused, help: "… of one user",
	}
	progressInterval = &limit{
		option: "ProgressInterval", isTime: true, initial: int64(10 * time.Second),
		help: "time between two notices to a client that waits",
	}
	fetchRunTimeout = &limit{
		option: "FetchRunTimeout", isTime: true, help: "longest time a FETCH runs",
		answer: ErrFetchRunTimeout, kind: EventTimedOut,
		count: func(s *Stats) *uint64 { return &s.Refused.FetchRunTimeout },
	}
	searchRunTimeout = &limit{
		option: "SearchRunTimeout", isTime: true, help: "longest time a SEARCH runs",
		answer: ErrSearchRunTimeout, kind: EventTimedOut,
		count: func(s *Stats) *uint64 { return &s.Refused.SearchRunTimeout },
	}
	stallTimeout = &limit{
		option: "StallTimeout", isTime: true, initial: int64(30 * time.Second), kind: EventStalled,
		help:  "time in which a client must take something of an answer, or send something of an APPEND",
		count: func(s *Stats) *uint64 { return &s.Refused.Stalled },
	}
	loginTimeout = &limit{
		option: "LoginTimeout", isTime: true, initial: int64(time.Minute), help: "time to log in",
		answer: errLoginTimeout, kind: EventTimedOut,
		count: func(s *Stats) *uint64 { return &s.Refused.LoginTimeout },
	}
	evictIdle = &limit{
		option: "EvictIdle", isTime: true,
		help: "silence after which a session makes room for a new login",
	}
	maxListPatterns = &limit{
		option: "MaxListPatterns", initial: 8, help: "mailbox patterns of a LIST",
		answer: ErrListPatterns, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.ListPatterns },
	}
	maxListWildcards = &limit{
		option: "MaxListWildcards", initial: 6, help: "wildcards in all patterns of a LIST",
		answer: ErrListWildcards, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.ListWildcards },
	}
	maxMailboxName = &limit{
		option: "MaxMailboxName", initial: 1000, help: "bytes of the name of a new mailbox",
		answer: ErrMailboxName, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.MailboxName },
	}
	maxSearchTerms = &limit{
		option: "MaxSearchTerms", initial: 2000, help: "terms of a SEARCH",
		answer: ErrSearchTerms, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.SearchTerms },
	}
	maxSearchDepth = &limit{
		option: "MaxSearchDepth", initial: 30, help: "how deep a SEARCH is nested",
		answer: ErrSearchDepth, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.SearchDepth },
	}
	maxAppendSize = &limit{
		option: "MaxAppendSize", help: "bytes of a message",
		answer: ErrAppendSize, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.AppendSize },
	}
	maxLoginBytes = &limit{
		option: "MaxLoginBytes", initial: 64 << 10,
		help:   "bytes that a connection sends before it has logged in",
		answer: errLoginBytes, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.LoginBytes },
	}
	maxCommandBytes = &limit{
		option: "MaxCommandBytes", initial: 1 << 20, help: "bytes of a command, messages aside",
		answer: errCommandBytes, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.CommandBytes },
	}
)

// declared has all limits.
var declared = []*limit{
	maxConnections, maxConnectionsPerIP, maxLoginsPerUser, maxLoginsPerIP, maxFailedLogins,
	maxLoginChecks, maxLoginChecksPerIP, maxGuessDelay,
	maxFetches, maxFetchesPerUser, fetchQueueTimeout,
	maxSearches, maxSearchesPerUser, searchQueueTimeout,
	maxCommands, maxCommandsPerUser, commandQueueTimeout,
	maxWaiting, maxWaitingPerUser, progressInterval, fetchRunTimeout, searchRunTimeout,
	stallTimeout, loginTimeout, evictIdle,
	maxListPatterns, maxListWildcards, maxMailboxName, maxSearchTerms, maxSearchDepth, maxAppendSize,
	maxLoginBytes, maxCommandBytes,
}

func init() {
	for i, l := range declared {
		l.at = i
	}
}

// Refusals that are not settings.
var (
	limiterClosed = &limit{
		answer: ErrClosed, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.Closed },
	}
	clusterUnavailable = &limit{
		answer: ErrClusterUnavailable, kind: EventRefused,
		count: func(s *Stats) *uint64 { return &s.Refused.ClusterUnavailable },
	}
	clientGone = &limit{
		answer: errClientGone, kind: EventLeft,
		count: func(s *Stats) *uint64 { return &s.Total.Left },
	}
	equalLogins = &limit{kind: EventTimedOut} // a client without limits waited for an equal login
)

// field returns this limit's field of options, which is a pointer to a struct.
func (l *limit) field(options any) reflect.Value {
	return reflect.ValueOf(options).Elem().FieldByName(l.option)
}

// text returns the value in readable form: a number, or a time such as 40s.
func (l *limit) text(value int64) string {
	if l.isTime {
		return time.Duration(value).String()
	}
	return strconv.FormatInt(value, 10)
}

// validate returns an error with the limit's name and value if the value is negative. where is a
// prefix that says where the value was set.
func (l *limit) validate(where string, value int64) error {
	if value >= 0 {
		return nil
	}
	return fmt.Errorf(
		"limits: %s%s is %s: it must be 0 (no limit) or more", where, l.option, l.text(value),
	)
}
