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

	"github.com/imapgate/imapgate/internal/stack"
)

const connections = 200

// side is a server with clients that are logged in.
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

// took is the time of a command by the clock, and the CPU time of server and client together.
type took struct{ time, cpu time.Duration }

// run makes n clients call command at once, count times in all. It returns what one call took.
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

// BenchmarkStack runs each command on a bare server, on one with the whole stack, and on another
// bare one, in turns of some milliseconds. It reports the medians of the times, and of the ratios
// of each turn by the clock. It also reports the ratio of all CPU time, which other processes
// disturb less. The ratio of the two bare servers shows how much the measurement varies by itself.
//
//	go test -run '^$' -bench '^BenchmarkStack$' -benchtime 10s ./internal/stack
func BenchmarkStack(b *testing.B) {
	backend := newStore()
	sides := []*side{
		newSide(b, backend.newSession), newSide(b, whole(backend.newSession)),
		newSide(b, backend.newSession),
	}

	message := strings.Repeat("A line of a message.\r\n", 4000/22)
	for _, row := range []struct {
		name, command string
		count         int // commands in a turn
	}{
		{"NOOP", "NOOP", 100}, {"LIST-10", `LIST "" "Folder 0*"`, 40}, {"LIST-10000", `LIST "" *`, 1},
		{"FETCH-flags-of-1000", "FETCH 1:1000 FLAGS", 1}, {"FETCH-10-MiB", "FETCH 1:1 BODY[]", 1},
		{"SEARCH", "SEARCH UNSEEN", 100}, {"UID-SEARCH", "UID SEARCH UNSEEN", 100},
		{"APPEND", fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(message), message), 50},
		{"COPY", "COPY 1 Archive", 100}, {"login-and-logout", "", 10},
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

// compare takes turns, from the first side to the last and then back.
func compare(b *testing.B, sides ...func() took) {
	var times, cpus [3][]float64
	order := []int{0, 1, 2}
	for b.Loop() {
		slices.Reverse(order)
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
	b.ReportMetric(sum(cpus[1])/sum(cpus[0]), "cpu-stack/bare")
	b.ReportMetric(sum(cpus[2])/sum(cpus[0]), "cpu-bare/bare")
	least := func(of []float64) float64 { return slices.Min(of) }
	b.ReportMetric(least(cpus[0]), "least-cpu-bare-µs")
	b.ReportMetric(least(cpus[1])/least(cpus[0]), "least-cpu-stack/bare")
	b.ReportMetric(least(cpus[2])/least(cpus[0]), "least-cpu-bare/bare")
}

// ratio returns the median of the ratios of all turns.
func ratio(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios)
}

func sum(values []float64) (sum float64) {
	for _, value := range values {
		sum += value
	}
	return sum
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
