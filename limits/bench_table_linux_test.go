package limits

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sys/unix"

	"github.com/imapgate/imapgate/internal/admission"
)

// costs are what n sessions do, each once. setUp returns it, and what ends it, which is not
// measured.
var costs = []struct {
	name  string
	setUp func(b *testing.B, n int) (all func(), end func())
}{
	{"a Go map with as many entries, for comparison", func(b *testing.B, n int) (all, end func()) {
		limiter := New(DefaultOptions())
		sessions := fakeSessions(b, limiter, n)
		entries := make(map[string]*session)
		for _, s := range sessions {
			entries[s.turn] = s
		}
		return func() {
			for _, s := range sessions {
				delete(entries, s.turn)
				entries[s.turn] = s
			}
		}, nil
	}},
	{"a look at each session, for comparison", func(b *testing.B, n int) (all, end func()) {
		limiter := New(DefaultOptions())
		for _, s := range fakeSessions(b, limiter, n) {
			limiter.sessions.add(s)
		}
		return func() {
			for s := limiter.sessions.first; s != nil; s = s.next {
				s.activity.waits()
			}
		}, nil
	}},
	{"connection that goes and comes", func(b *testing.B, n int) (all, end func()) {
		limiter := New(DefaultOptions())
		sessions := fakeSessions(b, limiter, n)
		come := func(s *session) {
			s.releaseConnection, _ = s.count()
			limiter.sessions.add(s)
		}
		for _, s := range sessions {
			come(s)
		}
		return func() {
			for _, s := range sessions {
				s.releaseConnection()
				limiter.sessions.remove(s)
				come(s)
			}
		}, nil
	}},
	{"logout and login", func(b *testing.B, n int) (all, end func()) {
		limiter := New(DefaultOptions())
		sessions := fakeSessions(b, limiter, n)
		login := func(s *session) {
			attempt := limiter.logins.Ask(s.loginCaller(s.user))
			s.login, _, _ = attempt.Admit(s.user, s)
			attempt.End()
		}
		for _, s := range sessions {
			login(s)
		}
		return func() {
			for _, s := range sessions {
				limiter.logins.Leave(s.login)
				login(s)
			}
		}, nil
	}},
	{"login refused, of a user with as many sessions", func(b *testing.B, n int) (all, end func()) {
		limiter := New(&Options{MaxLoginsPerUser: n, EvictIdle: time.Hour})
		end = loggedIn(b, limiter, "karen", n)
		s := fakeSession(limiter, "karen", netip.MustParseAddr("127.0.0.1"), nil)
		return func() {
			for range n {
				if a := s.ask("karen"); !a.Refusal.Is() {
					b.Fatal("it is not refused")
				}
			}
		}, end
	}},
	{"sessions of one user hang up, and make room", func(b *testing.B, n int) (all, end func()) {
		limiter := New(&Options{MaxLoginsPerUser: n})
		loggedIn(b, limiter, "karen", n)
		s := fakeSession(limiter, "karen", netip.MustParseAddr("127.0.0.1"), nil)
		return func() {
			limiter.logins.MakeRoom("karen", func(all []*admission.Login[*session]) (
				hungUp, silent []*admission.Login[*session],
			) {
				return all, nil
			})
			for range n / 2 {
				attempt := limiter.logins.Ask(s.loginCaller("karen"))
				_, evicted, refused := attempt.Admit("karen", s)
				attempt.End()
				if refused.Is() {
					break // what the sweep has found is too old
				}
				for _, older := range evicted {
					limiter.logins.Leave(older)
				}
			}
		}, nil
	}},
	{"FETCH that need not wait", func(b *testing.B, n int) (all, end func()) {
		limiter := New(&Options{MaxFetches: n, MaxFetchesPerUser: 1})
		sessions, turns := fakeSessions(b, limiter, n), make([]turn, n)
		for i, s := range sessions {
			s.enter(&turns[i], &limiter.fetches)
		}
		return func() {
			for i, s := range sessions {
				s.exit(&turns[i])
				s.enter(&turns[i], &limiter.fetches)
			}
		}, nil
	}},
	{"FETCH that gets its turn", func(b *testing.B, n int) (all, end func()) {
		held, waiting, _ := waitingFetches(b, n)
		return func() {
			held.Release()
			waiting.Wait()
		}, nil
	}},
	{"FETCH refused by a full queue", func(b *testing.B, n int) (all, end func()) {
		limiter := New(&Options{MaxFetches: 1, MaxWaiting: n})
		sessions, tickets := fakeSessions(b, limiter, n+1), make([]admission.Ticket, n+1)
		for i, s := range sessions {
			tickets[i] = limiter.fetches.gate.Enter(s.turn, &s.client)
		}
		return func() {
			for _, s := range sessions[:n] {
				if s.enter(new(turn), &limiter.fetches) == nil {
					b.Fatal("it is not refused")
				}
			}
		}, nil
	}},
	{"FETCH that hangs up in the queue", func(b *testing.B, n int) (all, end func()) {
		held, waiting, sessions := waitingFetches(b, n)
		order := rand.Perm(n)
		return func() {
			for _, i := range order {
				sessions[i].lost()
			}
			waiting.Wait()
		}, held.Release
	}},
	{"SEARCH that is answered with others", func(b *testing.B, n int) (all, end func()) {
		return joinedSearches(b, n, func(first *part, _ func()) {
			first.Run(func() (*imap.SearchData, bool, error) { return &imap.SearchData{}, false, nil })
		})
	}},
	{"SEARCH that hangs up with others", func(b *testing.B, n int) (all, end func()) {
		return joinedSearches(b, n, func(_ *part, hangUp func()) { hangUp() })
	}},
	{"Sessions, for each", func(b *testing.B, n int) (all, end func()) {
		limiter := New(DefaultOptions())
		for _, s := range fakeSessions(b, limiter, n) {
			limiter.sessions.add(s)
		}
		return func() { limiter.Sessions() }, nil
	}},
	{"SetOptions, for each that waits", func(b *testing.B, n int) (all, end func()) {
		options := &Options{MaxFetches: 1}
		limiter := New(options)
		for _, s := range fakeSessions(b, limiter, n) {
			limiter.sessions.add(s)
			limiter.fetches.gate.Enter(s.turn, &s.client)
		}
		return func() { limiter.SetOptions(options) }, nil
	}},
}

// waitingFetches returns n sessions with a FETCH that waits until held is released, and runs for no
// time then.
func waitingFetches(b *testing.B, n int) (held *turn, all *sync.WaitGroup, sessions []*session) {
	limiter := New(&Options{MaxFetches: 1, MaxFetchesPerUser: 1, FetchQueueTimeout: time.Hour})
	sessions = fakeSessions(b, limiter, n+1)
	held, all = &turn{}, &sync.WaitGroup{}
	sessions[n].enter(held, &limiter.fetches)
	for _, s := range sessions[:n] {
		all.Go(func() {
			var turn turn
			s.enter(&turn, &limiter.fetches)
			s.exit(&turn)
		})
	}
	watched := func(c *client) bool {
		c.presence.mu.Lock()
		defer c.presence.mu.Unlock()
		return c.presence.lost != nil
	}
	for _, s := range sessions[:n] {
		for !watched(&s.client) {
			runtime.Gosched()
		}
	}
	return held, all, sessions[:n]
}

// joinedSearches returns what ends a SEARCH that n sessions wait for: the answer, or that all hang
// up.
func joinedSearches(b *testing.B, n int, over func(first *part, hangUp func())) (all, end func()) {
	limiter := New(&Options{ShareSearches: true, JoinRunning: true})
	sessions := fakeSessions(b, limiter, n)
	var key flightKey
	first := limiter.flights.Join(key, "user karen", &sessions[0].client, admission.JoinRunning)
	gone := make(chan struct{})
	var waiting sync.WaitGroup
	for _, s := range sessions {
		part := limiter.flights.Join(key, s.turn, &s.client, admission.JoinRunning)
		began := make(chan struct{})
		waiting.Go(func() { part.Wait(gone, func() { close(began) }) })
		<-began
	}
	return func() {
			over(first, func() { close(gone) })
			waiting.Wait()
		}, func() {
			if first.Runs {
				first.Run(func() (*imap.SearchData, bool, error) { return nil, false, nil })
			}
		}
}

// fakeSessions returns n sessions of as many users and addresses.
func fakeSessions(b *testing.B, limiter *Limiter, n int) []*session {
	shared := connectedSocket(b)
	sessions := make([]*session, n)
	for i := range sessions {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		sessions[i] = fakeSession(limiter, fmt.Sprintf("user%07d", i), addr, shared)
	}
	return sessions
}

// What an operation costs in CPU time where there are 100, 1,000 and 10,000 sessions, and the
// exponent with which the cost of all together grows: 1 if one costs the same whatever their
// number.
//
//	go test -run '^$' -bench CostTable -benchtime 1x ./limits
func BenchmarkCostTable(b *testing.B) {
	sizes := []int{100, 1000, 10_000}
	for _, cost := range costs {
		b.Run(strings.ReplaceAll(cost.name, " ", "-"), func(b *testing.B) {
			each := make([]float64, len(sizes))
			for b.Loop() {
				for i, n := range sizes {
					each[i] = costOf(b, cost.setUp, n)
				}
			}
			growth := math.Log(each[len(each)-1]/each[0]) / math.Log(float64(sizes[len(sizes)-1]/sizes[0]))
			for i, n := range sizes {
				b.ReportMetric(each[i], fmt.Sprintf("ns-each-of-%d", n))
			}
			b.ReportMetric(1+growth, "exponent")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// costOf returns the CPU time of one operation among n, in nanoseconds, the collection of its
// garbage included: the mean of as many operations for each n.
func costOf(b *testing.B, setUp func(*testing.B, int) (all, end func()), n int) float64 {
	const operations = 20_000
	var used int64
	for range operations / n {
		all, end := setUp(b, n)
		before := processTime(b)
		all()
		used += processTime(b) - before
		if end != nil {
			end()
		}
	}
	return float64(used) / operations
}

// processTime is cpuTime in nanoseconds.
func processTime(b *testing.B) int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now); err != nil {
		b.Fatal(err)
	}
	return now.Nano()
}
