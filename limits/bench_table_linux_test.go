package limits

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sys/unix"

	"github.com/imapgate/imapgate/internal/admission"
)

// work is what the n sessions of a limiter do: first each of them, then all together.
type work struct {
	each func(i int)
	all  func()
	end  func() // cleans up; not measured
}

// costs are the rows of the table. setUp makes a limiter with n sessions, and returns their work.
var costs = []struct {
	name  string
	setUp func(b *testing.B, n int) work
}{
	{"a Go map with as many entries, for comparison", func(b *testing.B, n int) work {
		limiter := New(DefaultOptions())
		sessions := fakeSessions(b, limiter, n)
		entries := make(map[string]*session)
		for _, s := range sessions {
			entries[s.user] = s
		}
		return work{each: func(i int) {
			delete(entries, sessions[i].user)
			entries[sessions[i].user] = sessions[i]
		}}
	}},
	{"goroutines that wait for a channel, for comparison", func(b *testing.B, n int) work {
		var waiting sync.WaitGroup
		over := make(chan struct{})
		for range n {
			began := make(chan struct{})
			waiting.Go(func() {
				close(began)
				<-over
			})
			<-began
		}
		return work{all: func() {
			close(over)
			waiting.Wait()
		}}
	}},
	{"connection that goes and comes", func(b *testing.B, n int) work {
		limiter := New(DefaultOptions())
		sessions := fakeSessions(b, limiter, n)
		come := func(s *session) {
			s.releaseConnection, _, _ = s.count(limiter.settings.Load())
			limiter.sessions.add(s.id, s)
		}
		for _, s := range sessions {
			come(s)
		}
		return work{each: func(i int) {
			sessions[i].releaseConnection()
			limiter.sessions.remove(sessions[i].id)
			come(sessions[i])
		}}
	}},
	{"logout and login", func(b *testing.B, n int) work {
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
		return work{each: func(i int) {
			limiter.logins.Leave(sessions[i].login)
			login(sessions[i])
		}}
	}},
	{"login refused, of a user with as many sessions", func(b *testing.B, n int) work {
		limiter := New(&Options{MaxLoginsPerUser: n, EvictIdle: time.Hour})
		end := loggedIn(b, limiter, "karen", n)
		s := fakeSession(limiter, "karen", netip.MustParseAddr("127.0.0.1"), nil)
		return work{end: end, all: func() {
			for range n { // one after another, as a user is swept only now and then
				if a := s.ask("karen"); !a.Refusal.Is() {
					b.Fatal("it is not refused")
				}
			}
		}}
	}},
	{"sessions of one user hang up, and make room", func(b *testing.B, n int) work {
		limiter := New(&Options{MaxLoginsPerUser: n})
		loggedIn(b, limiter, "karen", n)
		s := fakeSession(limiter, "karen", netip.MustParseAddr("127.0.0.1"), nil)
		return work{all: func() {
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
					break // the result of the sweep is too old
				}
				for _, older := range evicted {
					limiter.logins.Leave(older)
				}
			}
		}}
	}},
	{"FETCH that need not wait", func(b *testing.B, n int) work {
		limiter := New(&Options{MaxFetches: n, MaxFetchesPerUser: 1})
		sessions, turns := fakeSessions(b, limiter, n), make([]turn, n)
		for i, s := range sessions {
			s.enter(&turns[i], &limiter.fetches)
		}
		return work{each: func(i int) {
			sessions[i].exit(&turns[i])
			sessions[i].enter(&turns[i], &limiter.fetches)
		}}
	}},
	{"FETCH that gets its turn", func(b *testing.B, n int) work {
		held, waiting, _ := waitingFetches(b, n)
		return work{all: func() {
			held.Release()
			waiting.Wait()
		}}
	}},
	{"FETCH refused by a full queue", func(b *testing.B, n int) work {
		limiter := New(&Options{MaxFetches: 1, MaxWaiting: n})
		sessions, tickets := fakeSessions(b, limiter, n+1), make([]admission.Ticket, n+1)
		for i, s := range sessions {
			tickets[i] = limiter.fetches.gate.Enter(s.turn, &s.client)
		}
		return work{each: func(i int) {
			if sessions[i].enter(new(turn), &limiter.fetches) == nil {
				b.Fatal("it is not refused")
			}
		}}
	}},
	{"FETCH that hangs up in the queue", func(b *testing.B, n int) work {
		held, waiting, sessions := waitingFetches(b, n)
		return work{each: func(i int) { sessions[i].lost() }, all: waiting.Wait, end: held.Release}
	}},
	{"SEARCH that is answered with others", func(b *testing.B, n int) work {
		return joinedSearches(b, n, func(first *part, _ func()) {
			first.Run(func() (*imap.SearchData, bool, error) { return &imap.SearchData{}, false, nil })
		})
	}},
	{"SEARCH that hangs up with others", func(b *testing.B, n int) work {
		return joinedSearches(b, n, func(_ *part, hangUp func()) { hangUp() })
	}},
	{"Sessions, for each", func(b *testing.B, n int) work {
		limiter := New(DefaultOptions())
		for _, s := range fakeSessions(b, limiter, n) {
			limiter.sessions.add(s.id, s)
		}
		return work{all: func() { limiter.Sessions() }}
	}},
	{"SetOptions, for each that waits", func(b *testing.B, n int) work {
		options := &Options{MaxFetches: 1}
		limiter := New(options)
		for _, s := range fakeSessions(b, limiter, n) {
			limiter.sessions.add(s.id, s)
			limiter.fetches.gate.Enter(s.turn, &s.client)
		}
		return work{all: func() { limiter.SetOptions(options) }}
	}},
}

// waitingFetches returns n sessions with a FETCH that waits until held is released, and then takes
// no time.
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

// joinedSearches returns the work that finishes a SEARCH for which n sessions wait: by the answer,
// or because all hang up.
func joinedSearches(b *testing.B, n int, over func(first *part, hangUp func())) work {
	limiter := New(&Options{ShareSearches: true, JoinRunning: true})
	sessions := fakeSessions(b, limiter, n)
	var key flightKey
	join := func(s *session) *part {
		p := new(part)
		p.Join(&limiter.flights, key, s.turn, &s.client, admission.JoinRunning, time.Time{})
		return p
	}
	first := join(sessions[0])
	gone := make(chan struct{})
	var waiting sync.WaitGroup
	for _, s := range sessions {
		part := join(s)
		began := make(chan struct{})
		waiting.Go(func() { part.Wait(gone, func() { close(began) }) })
		<-began
	}
	return work{all: func() {
		over(first, func() { close(gone) })
		waiting.Wait()
	}, end: func() {
		if first.Runs {
			first.Run(func() (*imap.SearchData, bool, error) { return nil, false, nil })
		}
	}}
}

// fakeSessions returns n sessions, each of another user and address.
func fakeSessions(b *testing.B, limiter *Limiter, n int) []*session {
	shared := connectedSocket(b)
	sessions := make([]*session, n)
	for i := range sessions {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		sessions[i] = fakeSession(limiter, fmt.Sprintf("user%07d", i), addr, shared)
	}
	return sessions
}

// The CPU time of an operation with 100, 1,000 and 10,000 sessions, and the exponent with which the
// total cost grows: 1 if one operation costs the same for any number of sessions.
//
// There are always 10,000 sessions in memory: in a hundred limiters of 100, in ten of 1,000, or in
// one of 10,000. They are used in random order. Otherwise a hundred sessions would fit into the
// processor's caches, and the exponent would be that of the caches: up to 1.25 for a Go map. All
// goroutines run on one processor, because the time that a second one spends looking for work would
// count, too. The result is the lowest of as many rounds as -benchtime says.
//
//	go test -run '^$' -bench CostTable -benchtime 7x ./limits
func BenchmarkCostTable(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	sizes := []int{100, 1000, inAll}
	for _, cost := range costs {
		b.Run(strings.ReplaceAll(cost.name, " ", "-"), func(b *testing.B) {
			least := slices.Repeat([]float64{math.Inf(1)}, len(sizes))
			for b.Loop() {
				for i, n := range sizes {
					least[i] = min(least[i], costOf(b, cost.setUp, n))
				}
			}
			growth := math.Log(least[len(sizes)-1]/least[0]) / math.Log(inAll/float64(sizes[0]))
			for i, n := range sizes {
				b.ReportMetric(least[i], fmt.Sprintf("ns-each-of-%d", n))
			}
			b.ReportMetric(1+growth, "exponent")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// inAll is the number of sessions.
const inAll = 10_000

// costOf returns the CPU time of one operation in nanoseconds, over inAll sessions, n in each
// limiter.
func costOf(b *testing.B, setUp func(*testing.B, int) work, n int) float64 {
	works := make([]work, inAll/n)
	for i := range works {
		works[i] = setUp(b, n)
	}
	order := rand.Perm(inAll)
	runtime.GC()
	before := processTime(b)
	for _, session := range order {
		if each := works[session%len(works)].each; each != nil {
			each(session / len(works))
		}
	}
	for _, w := range works {
		if w.all != nil {
			w.all()
		}
	}
	used := processTime(b) - before
	for _, w := range works {
		if w.end != nil {
			w.end()
		}
	}
	return float64(used) / inAll
}

// processTime is cpuTime in nanoseconds.
func processTime(b *testing.B) int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now); err != nil {
		b.Fatal(err)
	}
	return now.Nano()
}
