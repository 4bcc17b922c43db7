package mailserver

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/imapgate/imapgate/limits"
)

type sessionTable struct {
	Rows  []sessionRow
	Words string
	More  int
}

type sessionRow struct {
	limits.SessionInfo
	User, Connected, State, For string
}

// A state is that of a connection. The table has them in this order.
type state int

const (
	waiting state = iota
	running
	idling
	silent
	ending
)

var stateNames = [...]string{"waiting", "running", "IDLE", "silent", "ending"}

func stateOf(s *limits.SessionInfo) state {
	switch {
	case s.Ending:
		return ending
	case s.Waiting:
		return waiting
	case s.Command == "IDLE":
		return idling
	case s.Command != "":
		return running
	default:
		return silent
	}
}

// newSessionTable puts those who wait first, then those who work, and of each the longest first.
func newSessionTable(now time.Time, sessions []limits.SessionInfo) sessionTable {
	var counts [len(stateNames)]int
	first := best[*limits.SessionInfo]{compare: func(a, b *limits.SessionInfo) int {
		return cmp.Or(cmp.Compare(stateOf(a), stateOf(b)), a.Since.Compare(b.Since))
	}}
	for i := range sessions {
		counts[stateOf(&sessions[i])]++
		first.add(&sessions[i])
	}
	var table sessionTable
	for _, s := range first.cut() {
		table.Rows = append(table.Rows, sessionRow{
			*s, userText(*s), timeText(now.Sub(s.Connected)), stateNames[stateOf(s)],
			timeText(now.Sub(s.Since)),
		})
	}
	var words []string
	for state, n := range counts {
		if n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, stateNames[state]))
		}
	}
	table.Words, table.More = strings.Join(words, ", "), len(sessions)-len(table.Rows)
	return table
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
