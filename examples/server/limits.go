package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/imapgate/imapgate/limits"
)

// limitFlags adds a flag for each field of limits.Options that is not a function, and one that sets
// LimitsFor.
func limitFlags(flags *flag.FlagSet, s *settings) {
	o := &s.limits
	*o = *limits.DefaultOptions()
	const noLimit = " (0: no limit)"
	numberFlag(flags, &o.MaxConnections, "max-connections", "`number` of connections at once"+noLimit)
	numberFlag(
		flags, &o.MaxConnectionsPerIP, "max-connections-per-ip",
		"`number` of connections from one address"+noLimit,
	)
	numberFlag(
		flags, &o.MaxLoginsPerUser, "max-logins-per-user",
		"`number` of sessions of one user that are logged in"+noLimit,
	)
	numberFlag(
		flags, &o.MaxLoginsPerIP, "max-logins-per-ip",
		"`number` of sessions from one address that are logged in"+noLimit,
	)
	numberFlag(
		flags, &o.MaxFailedLogins, "max-failed-logins",
		"`number` of failed logins that end a connection"+noLimit,
	)
	numberFlag(
		flags, &o.MaxFetches, "max-fetches", "`number` of FETCH commands that run at once"+noLimit,
	)
	numberFlag(
		flags, &o.MaxFetchesPerUser, "max-fetches-per-user",
		"`number` of FETCH commands of one user that run at once"+noLimit,
	)
	durationFlag(
		flags, &o.FetchQueueTimeout, "fetch-queue-timeout", "longest `time` a FETCH waits in the queue"+noLimit,
	)
	numberFlag(
		flags, &o.MaxSearches, "max-searches", "`number` of SEARCH commands that run at once"+noLimit,
	)
	numberFlag(
		flags, &o.MaxSearchesPerUser, "max-searches-per-user",
		"`number` of SEARCH commands of one user that run at once"+noLimit,
	)
	durationFlag(
		flags, &o.SearchQueueTimeout, "search-queue-timeout", "longest `time` a SEARCH waits in the queue"+noLimit,
	)
	numberFlag(flags, &o.MaxWaiting, "max-waiting", "`number` of commands in each queue"+noLimit)
	numberFlag(
		flags, &o.MaxWaitingPerUser, "max-waiting-per-user",
		"`number` of commands of one user in each queue"+noLimit,
	)
	flags.BoolVar(
		&o.ShareSearches, "share-searches", o.ShareSearches, "run equal UID SEARCHes of a user once",
	)
	flags.BoolVar(
		&o.JoinRunning, "join-running", o.JoinRunning,
		"answer a UID SEARCH with an equal one that has begun before it came",
	)
	durationFlag(
		flags, &o.ProgressInterval, "progress-interval",
		"`time` between words of progress to a client that waits (0: none)",
	)
	durationFlag(flags, &o.FetchRunTimeout, "fetch-run-timeout", "longest `time` a FETCH runs"+noLimit)
	durationFlag(flags, &o.SearchRunTimeout, "search-run-timeout", "longest `time` a SEARCH runs"+noLimit)
	durationFlag(
		flags, &o.StallTimeout, "stall-timeout",
		"`time` after which a client that reads nothing of a FETCH is closed (0: never)",
	)
	durationFlag(
		flags, &o.LoginTimeout, "login-timeout", "longest `time` a connection takes to log in"+noLimit,
	)
	durationFlag(
		flags, &o.EvictIdle, "evict-idle",
		"`time` after which a silent session makes room for a new login of its user (0: never)",
	)
	numberFlag(
		flags, &o.MaxListWildcards, "max-list-wildcards",
		"`number` of wildcards in a mailbox pattern"+noLimit,
	)
	numberFlag(flags, &o.MaxSearchTerms, "max-search-terms", "`number` of terms in a SEARCH"+noLimit)
	numberFlag(
		flags, &o.MaxSearchDepth, "max-search-depth",
		"`number` of levels of NOT and OR in a SEARCH"+noLimit,
	)
	numberFlag(
		flags, &o.MaxAppendSize, "max-append-size",
		"`number` of bytes of the largest message that APPEND takes"+noLimit,
	)
	numberFlag(
		flags, &o.MaxLoginBytes, "max-login-bytes", "`bytes` that a client may send before it has logged in (0: no limit)",
	)
	numberFlag(
		flags, &o.MaxCommandBytes, "max-command-bytes", "`bytes` of a command, messages aside (0: no limit)",
	)
	listFlag(
		flags, &o.Exempt, "exempt",
		"`network`, such as 10.0.0.0/8, whose clients are never refused and never wait; may be given again",
		parseNetwork,
	)
	listFlag(flags, &s.unlimitedUsers, "unlimited-user",
		"`name` of a user, a service account say, to whom no limit per user applies; may be given again",
		func(text string) (string, error) { return text, nil })
	flags.BoolVar(&o.DryRun, "dry-run", o.DryRun, "report what would be refused, and refuse nothing")
}

// parseNetwork takes a network, or one address.
func parseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if err != nil {
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil && addr.Zone() == "" {
			network, err = addr.Prefix(addr.BitLen())
		}
	}
	if err != nil || network.Addr().Is4In6() {
		return netip.Prefix{}, errors.New(
			"it takes a network, such as 10.0.0.0/8 or 2001:db8::/32, or an address",
		)
	}
	return network.Masked(), nil
}

func (s *settings) checkUnlimitedUsers() error {
	for _, name := range s.unlimitedUsers {
		if !hasAccount(s.accounts, name) {
			return wrongValue("unlimited-user", name, errNoUser)
		}
	}
	return nil
}

// limitsFor lifts what is limited per user for those of -unlimited-user. The limits of their
// address stay, and the number of wrong passwords: at a login the name is only what the client
// claims.
func (s *settings) limitsFor(client limits.Client) limits.ClientLimits {
	l := client.Limits
	if slices.ContainsFunc(
		s.unlimitedUsers, func(name string) bool { return strings.EqualFold(name, client.User) },
	) {
		l.MaxLoginsPerUser, l.MaxFetchesPerUser, l.MaxSearchesPerUser, l.MaxWaitingPerUser = 0, 0, 0, 0
	}
	return l
}

// limiterOptions returns the options for a limiter that logs its events.
func (s *settings) limiterOptions(logger *slog.Logger) *limits.Options {
	o := s.limits
	o.OnEvent = eventLog(logger)
	if len(s.unlimitedUsers) > 0 {
		o.LimitsFor = s.limitsFor
	}
	return &o
}

// maxLoggedUser is how many characters of a user name are logged: it is up to the client, and may
// be 50 KB long.
const maxLoggedUser = 64

// eventLog returns what logs the events of a limiter.
func eventLog(logger *slog.Logger) func(limits.Event) {
	return func(event limits.Event) {
		attrs := []slog.Attr{
			slog.String("command", event.Command), slog.String("user", cut(event.User, maxLoggedUser)),
			slog.String("addr", address(event)),
		}
		if event.Limit != "" {
			attrs = append(attrs, slog.String("limit", event.Limit), slog.Any("max", limitValue(event)))
		}
		attrs = append(attrs, slog.Duration("waited", event.Waited.Round(time.Millisecond)))
		if event.RetryAfter > 0 {
			attrs = append(attrs, slog.Duration("retry-after", event.RetryAfter))
		}
		if event.DryRun {
			attrs = append(attrs, slog.Bool("dry-run", true))
		}
		level := slog.LevelWarn
		switch event.Kind {
		case limits.EventAdmitted, limits.EventJoined, limits.EventLeft:
			level = slog.LevelInfo
		}
		logger.LogAttrs(context.Background(), level, event.Kind.String(), attrs...)
	}
}

// limitValue returns the value of the limit that was in the way, in the type of its field in
// limits.Options.
func limitValue(event limits.Event) any {
	field, _ := reflect.TypeFor[limits.Options]().FieldByName(event.Limit)
	if field.Type == reflect.TypeFor[time.Duration]() {
		return time.Duration(event.Max)
	}
	return event.Max
}

func address(event limits.Event) string {
	if !event.Addr.IsValid() {
		return ""
	}
	return event.Addr.String()
}

// cut returns at most max characters of the text, the last of them an ellipsis if there are more.
func cut(text string, max int) string {
	characters := []rune(text)
	if len(characters) <= max {
		return text
	}
	return string(characters[:max-1]) + "…"
}
