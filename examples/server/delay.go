package main

import (
	"flag"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/keep"
	"github.com/imapgate/imapgate/limits"
)

// delays makes a backend in memory as slow as one with real disks and real password hashes.
type delays struct{ command, login time.Duration }

func (d *delays) flags(flags *flag.FlagSet) {
	durationFlag(flags, &d.command, "delay", "`time` that every FETCH and SEARCH of the backend takes")
	durationFlag(flags, &d.login, "login-delay", "`time` that every password check takes")
}

func (d delays) wrap(next limits.NewSessionFunc) limits.NewSessionFunc {
	if d == (delays{}) {
		return next
	}
	return func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		inner, greeting, err := next(conn)
		if err != nil {
			return inner, greeting, err
		}
		return keep.Optional(&delayed{inner, d}, inner), greeting, nil
	}
}

type delayed struct {
	imapserver.Session
	delays delays
}

func (s *delayed) Login(username, password string) error {
	time.Sleep(s.delays.login)
	return s.Session.Login(username, password)
}

func (s *delayed) Fetch(w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions) error {
	time.Sleep(s.delays.command)
	return s.Session.Fetch(w, numSet, options)
}

func (s *delayed) Search(kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions) (*imap.SearchData, error) {
	time.Sleep(s.delays.command)
	return s.Session.Search(kind, criteria, options)
}
