package main

import (
	"context"
	"flag"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

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
		return &delayed{inner.(imapserver.SessionIMAP4rev2), d}, greeting, nil
	}
}

// delayed is to be the backend as far as package limits can see, so that its commands can be
// stopped: no wrapper, but a session of its own with all that the one in it has.
type delayed struct {
	imapserver.SessionIMAP4rev2
	delays delays
}

var (
	_ limits.ContextFetcher  = (*delayed)(nil)
	_ limits.ContextSearcher = (*delayed)(nil)
)

func (s *delayed) Login(username, password string) error {
	time.Sleep(s.delays.login)
	return s.SessionIMAP4rev2.Login(username, password)
}

func (s *delayed) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	return s.FetchContext(context.Background(), w, numSet, options)
}

// FetchContext gives up when the context ends before the delay is over.
func (s *delayed) FetchContext(
	ctx context.Context, w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	if err := pause(ctx, s.delays.command); err != nil {
		return err
	}
	return s.SessionIMAP4rev2.Fetch(w, numSet, options)
}

func (s *delayed) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	return s.SearchContext(context.Background(), kind, criteria, options)
}

// SearchContext gives up when the context ends before the delay is over.
func (s *delayed) SearchContext(
	ctx context.Context, kind imapserver.NumKind, criteria *imap.SearchCriteria,
	options *imap.SearchOptions,
) (*imap.SearchData, error) {
	if err := pause(ctx, s.delays.command); err != nil {
		return nil, err
	}
	return s.SessionIMAP4rev2.Search(kind, criteria, options)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
