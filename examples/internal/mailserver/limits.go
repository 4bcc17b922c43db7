package mailserver

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net/netip"
	"reflect"
	"regexp"
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
	for _, limit := range limits.Declared() {
		field := reflect.ValueOf(o).Elem().FieldByName(limit.Option).Addr().Interface()
		switch field := field.(type) {
		case *int:
			numberFlag(flags, field, flagName(limit.Option), "`number` of "+limit.Help+noLimit)
		case *int64:
			numberFlag(flags, field, flagName(limit.Option), "`number` of "+limit.Help+noLimit)
		case *time.Duration:
			durationFlag(flags, field, flagName(limit.Option), "`time`: "+limit.Help+noLimit)
		}
	}
	o.ShareSearches = true // the sessions of this backend search the mailbox as it is
	flags.BoolVar(
		&o.ShareSearches, "share-searches", o.ShareSearches, "run equal UID SEARCHes of a user once",
	)
	flags.BoolVar(
		&o.JoinRunning, "join-running", o.JoinRunning,
		"answer a UID SEARCH with an equal one that has begun before it came",
	)
	listFlag(
		flags, &o.Exempt, "exempt",
		"`network`, such as 10.0.0.0/8, whose clients are never refused and never wait; "+
			"may be given again",
		parseNetwork,
	)
	listFlag(flags, &s.unlimitedUsers, "unlimited-user",
		"`name` of a user, a service account say, to whom no limit per user applies; may be given again",
		func(text string) (string, error) { return text, nil })
	flags.BoolVar(&o.DryRun, "dry-run", o.DryRun, "report what would be refused, and refuse nothing")
}

const noLimit = " (0: no limit)"

var capital = regexp.MustCompile(`([a-z])([A-Z])`)

// flagName returns the name of a field as a flag: max-logins-per-ip for MaxLoginsPerIP.
func flagName(field string) string {
	return strings.ToLower(capital.ReplaceAllString(field, "$1-$2"))
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

// limitsFor lifts the limits per user for those of -unlimited-user. The limits of their address and
// of wrong passwords stay, because at a login the name is only what the client claims.
func (s *settings) limitsFor(client limits.Client) limits.ClientLimits {
	l := client.Limits
	if slices.ContainsFunc(
		s.unlimitedUsers, func(name string) bool { return strings.EqualFold(name, client.User) },
	) {
		l.MaxLoginsPerUser, l.MaxFetchesPerUser, l.MaxSearchesPerUser = 0, 0, 0
		l.MaxCommandsPerUser, l.MaxWaitingPerUser = 0, 0
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

// maxLoggedUser is how many characters of a user name are logged. A client can send one of 50 KB.
const maxLoggedUser = 64

// eventLog returns what logs the events of a limiter.
func eventLog(logger *slog.Logger) func(limits.Event) {
	return func(event limits.Event) {
		attrs := []slog.Attr{
			slog.String("command", event.Command), slog.String("user", cut(event.User, maxLoggedUser)),
			slog.String("addr", address(event)),
		}
		if event.Limit != "" {
			attrs = append(attrs, slog.String("limit", event.Limit), slog.String("max", event.Max))
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
