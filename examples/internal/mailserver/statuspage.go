package mailserver

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/imapgate/imapgate/limits"
)

// maxRows is how many rows a table of the page has. The JSON has them all.
const maxRows = 500

// statusPage is what the template shows.
type statusPage struct {
	Time     time.Time
	Up       string
	DryRun   bool
	Gauges   []gauge
	Refusals []count
	Totals   []count
	Users    userTable
	Sessions sessionTable
}

// gauge is what is in use now, of how many.
type gauge struct {
	Name     string
	Now, Max int // Max is 0 if there is no limit
	Also     []count
}

func (g gauge) Full() bool { return g.Max > 0 && g.Now >= g.Max }

type count struct {
	Name  string
	Count uint64
}

type userTable struct {
	Rows      []*userRow
	More, All int
}

type userRow struct {
	Name                      string
	Sessions                  int
	Fetches, FetchesWaiting   int
	Searches, SearchesWaiting int
	Other                     int // other commands
	Addresses                 int
}

type sessionTable struct {
	Rows  []sessionRow
	Words string
	More  int
}

type sessionRow struct {
	limits.SessionInfo
	User, Connected, State, For string
}

func newStatusPage(
	now, started time.Time, o *limits.Options, stats limits.Stats, sessions []limits.SessionInfo,
) *statusPage {
	return &statusPage{
		Time:     now,
		Up:       timeText(now.Sub(started)),
		DryRun:   o.DryRun,
		Gauges:   gauges(o, stats),
		Refusals: counts(stats.Refused),
		Totals:   counts(stats.Total),
		Users:    newUserTable(sessions),
		Sessions: newSessionTable(now, sessions),
	}
}

func gauges(o *limits.Options, s limits.Stats) []gauge {
	also := func(name string, n int) count { return count{name, uint64(n)} }
	return []gauge{
		{"Connections", s.Connections, o.MaxConnections, nil},
		{"Sessions logged in", s.Sessions, 0, nil},
		{"Logins being checked", s.LoginChecks, 0, []count{also("waiting", s.LoginsWaiting)}},
		{"FETCHes running", s.Fetches, o.MaxFetches, []count{also("waiting", s.FetchesWaiting)}},
		{"SEARCHes running", s.Searches, o.MaxSearches, []count{
			also("waiting", s.SearchesWaiting), also("waiting with an equal one", s.SearchesJoined),
		}},
	}
}

// counts returns each field of a struct of counts by its name in words.
func counts(of any) []count {
	v := reflect.ValueOf(of)
	counts := make([]count, v.NumField())
	for i := range counts {
		words := capital.ReplaceAllString(v.Type().Field(i).Name, "$1 $2")
		counts[i] = count{
			words[:1] + strings.ReplaceAll(strings.ToLower(words[1:]), " ip", " IP"), v.Field(i).Uint(),
		}
	}
	return counts
}

// newUserTable counts what each user has, the busiest first.
func newUserTable(sessions []limits.SessionInfo) userTable {
	users := make(map[string]*userRow)
	addresses := make(map[string]map[netip.Addr]bool)
	var rows []*userRow
	for _, s := range sessions {
		if !s.LoggedIn {
			continue
		}
		row := users[s.User]
		if row == nil {
			row = &userRow{Name: userText(s)}
			users[s.User], addresses[s.User] = row, make(map[netip.Addr]bool)
			rows = append(rows, row)
		}
		row.Sessions++
		addresses[s.User][s.Addr.Addr()] = true
		row.Addresses = len(addresses[s.User])
		switch {
		case s.Command == "FETCH" && s.Waiting:
			row.FetchesWaiting++
		case s.Command == "FETCH":
			row.Fetches++
		case s.Command == "SEARCH" && s.Waiting:
			row.SearchesWaiting++
		case s.Command == "SEARCH":
			row.Searches++
		case s.Command != "" && s.Command != "IDLE":
			row.Other++
		}
	}
	busy := func(r *userRow) int { return r.Fetches + r.FetchesWaiting + r.Searches + r.SearchesWaiting + r.Other }
	slices.SortFunc(rows, func(a, b *userRow) int {
		return cmp.Or(
			cmp.Compare(busy(b), busy(a)), cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Name, b.Name),
		)
	})
	all := len(rows)
	rows = rows[:min(all, maxRows)]
	return userTable{rows, all - len(rows), all}
}

// states are what a connection can be in, in the order of the table.
var states = []string{"waiting", "running", "IDLE", "silent"}

// newSessionTable has those who wait first, then those who work, each the longest first.
func newSessionTable(now time.Time, sessions []limits.SessionInfo) sessionTable {
	var words []string
	var rows []sessionRow
	for _, state := range states {
		same := slices.DeleteFunc(
			slices.Clone(sessions), func(s limits.SessionInfo) bool { return stateOf(s) != state },
		)
		slices.SortStableFunc(same, func(a, b limits.SessionInfo) int { return a.Since.Compare(b.Since) })
		for _, s := range same[:min(len(same), maxRows-len(rows))] {
			rows = append(
				rows,
				sessionRow{s, userText(s), timeText(now.Sub(s.Connected)), state, timeText(now.Sub(s.Since))},
			)
		}
		if len(same) > 0 {
			words = append(words, fmt.Sprintf("%d %s", len(same), state))
		}
	}
	return sessionTable{rows, strings.Join(words, ", "), len(sessions) - len(rows)}
}

func userText(s limits.SessionInfo) string {
	switch {
	case !s.LoggedIn:
		return "not logged in"
	case s.User == "":
		return "not known"
	default:
		return visible(s.User)
	}
}

func stateOf(s limits.SessionInfo) string {
	switch {
	case s.Waiting:
		return "waiting"
	case s.Command == "IDLE":
		return "IDLE"
	case s.Command != "":
		return "running"
	default:
		return "silent"
	}
}

// timeText returns the duration as people say it, in its two largest units.
func timeText(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", max(d, 0).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%d h %02d min", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%d d %02d h", d/day, d%day/time.Hour)
	}
}

// visible returns the name without what would hide in a text or change its direction, and cut to a
// size. It is up to the client, and may be 50 KB long.
func visible(name string) string {
	return cut(strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) && (r == ' ' || !unicode.IsSpace(r)) {
			return r
		}
		return unicode.ReplacementChar
	}, name), maxLoggedUser)
}
