package stack_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/stack"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

const connections = 200

// whole puts all four packages around next, with options by which each stands in the way of every command, and none holds anything back.
func whole(next stack.NewSessionFunc) stack.NewSessionFunc {
	options := limits.DefaultOptions()
	for _, limit := range []*int{
		&options.MaxConnections, &options.MaxConnectionsPerIP, &options.MaxLoginsPerUser, &options.MaxLoginsPerIP,
		&options.MaxFetches, &options.MaxFetchesPerUser, &options.MaxSearches, &options.MaxSearchesPerUser,
	} {
		*limit = 100_000
	}
	keep := func(_, _ string) (date, flags copymeta.Policy) { return copymeta.Keep, copymeta.Keep }
	next = copymeta.Wrap(next, &copymeta.Options{PolicyFor: keep})
	next = vfolders.Wrap(next, nil)
	next = idle.Wrap(next, &idle.Options{Mode: idle.Poll})
	return limits.New(options).Wrap(next)
}

// side is a server with clients who are logged in.
type side struct {
	tb      testing.TB
	address string
	clients []*client
}

func newSide(tb testing.TB, newSession stack.NewSessionFunc) *side {
	s := &side{tb: tb, address: serve(tb, newSession)}
	for user := range connections {
		c := login(tb, s.address, user)
		tb.Cleanup(func() { c.conn.Close() })
		s.clients = append(s.clients, c)
	}
	return s
}

// took is what a command takes: by the clock, and of the processors, server and client together.
type took struct{ time, cpu time.Duration }

// run lets n clients at once do what the command says, count times together, and returns what each took.
func (s *side) run(n, count int, command func(user int, c *client)) took {
	var all sync.WaitGroup
	each := max(1, count/n)
	start, used := time.Now(), cpuTime(s.tb)
	for user := range n {
		all.Go(func() {
			for range each {
				command(user, s.clients[user])
			}
		})
	}
	all.Wait()
	done := time.Duration(n * each)
	return took{time.Since(start) / done, (cpuTime(s.tb) - used) / done}
}

// BenchmarkStack runs each command against a bare server, one with the whole stack, and another bare one, in turns, and reports the
// medians of the times, and of the ratios within a turn. The ratio of the two bare ones is what the machine makes of nothing.
//
//	go test -run '^$' -bench '^BenchmarkStack$' -benchtime 50x ./internal/stack
func BenchmarkStack(b *testing.B) {
	backend := newStore()
	sides := []*side{newSide(b, backend.newSession), newSide(b, whole(backend.newSession)), newSide(b, backend.newSession)}

	message := strings.Repeat("A line of a message.\r\n", 4000/22)
	for _, row := range []struct {
		name, command string
		count         int // commands in a turn
	}{
		{"NOOP", "NOOP", 2000},
		{"LIST-10", `LIST "" "Folder 0*"`, 500},
		{"LIST-10000", `LIST "" *`, 1},
		{"FETCH-flags-of-1000", "FETCH 1:1000 FLAGS", 10},
		{"FETCH-10-MiB", "FETCH 1:1 BODY[]", 5},
		{"SEARCH", "SEARCH UNSEEN", 1000},
		{"UID-SEARCH", "UID SEARCH UNSEEN", 1000},
		{"APPEND", fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(message), message), 1000},
		{"COPY", "COPY 1 Archive", 1000},
		{"login-and-logout", "", 200},
	} {
		for _, n := range []int{1, connections} {
			b.Run(fmt.Sprintf("%s/connections=%d", row.name, n), func(b *testing.B) {
				turns := make([]func() took, len(sides))
				for i, s := range sides {
					run := func(user int, _ *client) { login(b, s.address, user).logout() }
					if row.command != "" {
						text := []byte("a " + row.command + "\r\n")
						known := s.clients[0].do(text)
						run = func(_ int, c *client) { c.again(text, known) }
					}
					turns[i] = func() took { return s.run(n, row.count, run) }
				}
				compare(b, turns...)
			})
		}
	}
}

// compare takes turns, from the first to the last and then back.
func compare(b *testing.B, sides ...func() took) {
	var times, cpus [3][]float64
	for turn := 0; b.Loop(); turn++ {
		order := []int{0, 1, 2}
		if turn%2 == 1 {
			slices.Reverse(order)
		}
		for _, i := range order {
			t := sides[i]()
			times[i], cpus[i] = append(times[i], float64(t.time)/1e3), append(cpus[i], float64(t.cpu)/1e3)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(times[0]), "bare-µs")
	b.ReportMetric(median(times[1]), "stack-µs")
	b.ReportMetric(ratio(times[1], times[0]), "stack/bare")
	b.ReportMetric(ratio(times[2], times[0]), "bare/bare")
	b.ReportMetric(ratio(cpus[1], cpus[0]), "CPU-stack/bare")
	b.ReportMetric(ratio(cpus[2], cpus[0]), "CPU-bare/bare")
}

// ratio returns the median of those of each turn.
func ratio(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// cpuTime returns the CPU time that this process has used.
func cpuTime(tb testing.TB) time.Duration {
	var usage syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
