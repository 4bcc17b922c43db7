package limits_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

const (
	serverSlots = 50
	userSlots   = 10
	requestTime = 5 * time.Millisecond
)

// workers is a backend, or a limit in front of one, that lets a fixed number in at once, first come
// first served.
type workers chan struct{}

func (w workers) enter() (leave func()) {
	w <- struct{}{}
	return func() { <-w }
}

// queued is a session whose FETCHes share one queue of the whole server, without turns.
type queued struct {
	imapserver.Session
	queue workers
}

func (s *queued) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	defer s.queue.enter()()
	return s.Session.Fetch(w, numSet, options)
}

// worked is a session of a backend with 50 workers. Each FETCH keeps a worker busy for 5 ms.
type worked struct {
	imaptest.Stub
	workers workers
}

func (s *worked) Fetch(*imapserver.FetchWriter, imap.NumSet, *imap.FetchOptions) error {
	defer s.workers.enter()()
	time.Sleep(requestTime)
	return nil
}

// How long a FETCH of 5 ms takes for five light users, with one connection each, beside 60 heavy
// users with 10 connections each, who FETCH without a pause; and how many FETCHes the heavy users
// complete. The cases are: turns, with a limit of 50 for the server and 10 for a user; one queue of
// 50 for the server; and no limits, where commands queue for the backend's own 50 workers.
//
//	go test -run '^$' -bench LightUser -benchtime 1x ./limits
func BenchmarkLightUserBesideHeavyOnes(b *testing.B) {
	for _, test := range []struct {
		name string
		wrap func(next limits.NewSessionFunc) limits.NewSessionFunc
	}{
		{"turns", limits.New(&limits.Options{
			MaxFetches: serverSlots, MaxFetchesPerUser: userSlots, FetchQueueTimeout: 40 * time.Second,
		}).Wrap},
		{"one-queue", func(next limits.NewSessionFunc) limits.NewSessionFunc {
			queue := make(workers, serverSlots)
			return func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				session, greeting, err := next(conn)
				return &queued{session, queue}, greeting, err
			}
		}},
		{"no-limits", func(next limits.NewSessionFunc) limits.NewSessionFunc { return next }},
	} {
		b.Run(test.name, func(b *testing.B) {
			pool := make(workers, serverSlots)
			newSession := test.wrap(
				func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
					return &worked{workers: pool}, nil, nil
				},
			)
			for b.Loop() {
				benchmarkLightUsers(b, newSession)
			}
		})
	}
}

func benchmarkLightUsers(b *testing.B, newSession limits.NewSessionFunc) {
	const heavyUsers, heavyConnections, lightUsers, lightRequests = 60, 10, 5, 40
	var numSet imap.NumSet = imap.SeqSetNum(1)
	fetch := func(session imapserver.Session) {
		if err := session.Fetch(nil, numSet, &imap.FetchOptions{}); err != nil {
			b.Error(err)
		}
	}
	logins := newLogins(b, newSession)
	var over atomic.Bool
	var answered atomic.Int64
	var heavy, light sync.WaitGroup
	for user := range heavyUsers {
		for range heavyConnections {
			session := logins.session(fmt.Sprintf("heavy%d", user))
			heavy.Go(func() {
				for !over.Load() {
					fetch(session)
					answered.Add(1)
				}
			})
		}
	}
	waits := make([][]time.Duration, lightUsers)
	sessions := make([]imapserver.Session, lightUsers)
	for user := range lightUsers {
		sessions[user] = logins.session(fmt.Sprintf("light%d", user))
	}
	start, before := time.Now(), answered.Load()
	for user, session := range sessions {
		light.Go(func() {
			for range lightRequests {
				waits[user] = append(waits[user], elapsed(func() { fetch(session) })-requestTime)
			}
		})
	}
	light.Wait()
	rate := float64(answered.Load()-before) / time.Since(start).Seconds()
	over.Store(true)
	heavy.Wait()
	logins.server.Close()

	all := slices.Sorted(slices.Values(slices.Concat(waits...)))
	b.ReportMetric(milliseconds(all[len(all)/2]), "ms-p50-wait")
	b.ReportMetric(milliseconds(all[len(all)*99/100]), "ms-p99-wait")
	b.ReportMetric(rate, "heavy-FETCH/s")
	b.ReportMetric(0, "ns/op")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// logins logs in to a server and returns the sessions, so that their methods can be called without
// the cost of a connection.
type logins struct {
	server *imaptest.Server
	last   imapserver.Session
}

func newLogins(b *testing.B, newSession limits.NewSessionFunc) *logins {
	l := &logins{}
	l.server = imaptest.NewServer(b, &imapserver.Options{
		NewSession: func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			session, greeting, err := newSession(conn)
			l.last = session
			return session, greeting, err
		},
		InsecureAuth: true,
	})
	return l
}

// session returns the session of a new connection of the user.
func (l *logins) session(user string) imapserver.Session {
	l.server.Login(user, "pass")
	return l.last
}
