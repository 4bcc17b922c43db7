package mailserver

import (
	"cmp"
	"net/netip"

	"github.com/imapgate/imapgate/limits"
)

type userTable struct {
	Rows      []*userRow
	More, All int
}

type userRow struct {
	Name                      string
	Unknown                   bool // nobody knows who it is
	Sessions                  int
	Fetches, FetchesWaiting   int
	Searches, SearchesWaiting int
	Other                     int // other commands
	Addresses                 int
}

// newUserTable counts what each user has, the busiest first.
func newUserTable(sessions []limits.SessionInfo) userTable {
	users := make(map[string]*userRow)
	type place struct {
		user string
		addr netip.Addr
	}
	places := make(map[place]bool)
	for i := range sessions {
		s := &sessions[i]
		if !s.LoggedIn {
			continue
		}
		row := users[s.User]
		if row == nil {
			row = &userRow{Name: s.User, Unknown: s.User == ""}
			users[s.User] = row
		}
		row.count(s)
		if at := (place{s.User, s.Addr.Addr()}); !places[at] {
			places[at] = true
			row.Addresses++
		}
	}
	rows := best[*userRow]{compare: func(a, b *userRow) int {
		return cmp.Or(
			cmp.Compare(b.busy(), a.busy()), cmp.Compare(b.Sessions, a.Sessions),
			cmp.Compare(a.Name, b.Name),
		)
	}}
	for _, row := range users {
		rows.add(row)
	}
	shown := rows.cut()
	for _, row := range shown {
		if row.Unknown {
			row.Name = "not known"
		} else {
			row.Name = visible(row.Name)
		}
	}
	return userTable{shown, len(users) - len(shown), len(users)}
}

// count counts what the session does.
func (r *userRow) count(s *limits.SessionInfo) {
	r.Sessions++
	switch {
	case s.Command == "FETCH" && s.Waiting:
		r.FetchesWaiting++
	case s.Command == "FETCH":
		r.Fetches++
	case s.Command == "SEARCH" && s.Waiting:
		r.SearchesWaiting++
	case s.Command == "SEARCH":
		r.Searches++
	case s.Command != "" && s.Command != "IDLE":
		r.Other++
	}
}

func (r *userRow) busy() int {
	return r.Fetches + r.FetchesWaiting + r.Searches + r.SearchesWaiting + r.Other
}
