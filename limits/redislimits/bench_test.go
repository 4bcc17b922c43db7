package redislimits_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/limits/redislimits"
)

// times are the durations of something that is repeated.
type times struct {
	mu  sync.Mutex
	all []time.Duration
}

func (t *times) add(d time.Duration) {
	t.mu.Lock()
	t.all = append(t.all, d)
	t.mu.Unlock()
}

// report reports the percentiles, in microseconds.
func (t *times) report(b *testing.B, name string) {
	slices.Sort(t.all)
	for _, p := range []int{50, 99} {
		at := t.all[(len(t.all)-1)*p/100]
		b.ReportMetric(float64(at.Nanoseconds())/1000, fmt.Sprintf("%sp%d-µs", name, p))
	}
}

// BenchmarkLogin measures a LOGIN on a connection in memory, with a password check that takes no
// time: without a cluster, with Redis on loopback, and with Redis stopped.
func BenchmarkLogin(b *testing.B) {
	for _, atOnce := range []int{1, 64} {
		b.Run(fmt.Sprintf("local/at-once=%d", atOnce), func(b *testing.B) {
			benchmarkLogins(b, nil, atOnce)
		})
		b.Run(fmt.Sprintf("redis/at-once=%d", atOnce), func(b *testing.B) {
			o := options(startRedis(b).address())
			o.Lease, o.Timeout = 30*time.Second, 50*time.Millisecond
			benchmarkLogins(b, newNode(b, o), atOnce)
		})
		b.Run(fmt.Sprintf("stopped/at-once=%d", atOnce), func(b *testing.B) {
			r := startRedis(b)
			o := options(r.address())
			o.Lease, o.Timeout = 30*time.Second, 50*time.Millisecond
			c := newNode(b, o)
			admit(b, c, login("nobody", 1)).Release()
			r.signal(syscall.SIGSTOP)
			defer r.signal(syscall.SIGCONT)
			var first times
			var all sync.WaitGroup
			for range atOnce { // these notice that Redis is down
				all.Go(func() {
					start := time.Now()
					c.Acquire(login("nobody", 1))
					first.add(time.Since(start))
				})
			}
			all.Wait()
			benchmarkLogins(b, c, atOnce)
			first.report(b, "first-")
		})
	}
}

func benchmarkLogins(b *testing.B, c *redislimits.Cluster, atOnce int) {
	o := limits.Options{MaxLoginsPerUser: 1_000_000} // sessions may be closed late
	if c != nil {
		o.Cluster = c
	}
	l := limits.New(&o)
	s := serveLimiter(b, l)
	var took times
	b.ResetTimer()
	var all sync.WaitGroup
	for i := range atOnce {
		n := b.N / atOnce
		if i < b.N%atOnce {
			n++
		}
		all.Go(func() {
			for range n {
				conn := imaptest.NewConn(quiet{b}, s.DialFrom(fmt.Sprintf("10.0.%d.1", i)))
				conn.Line()
				start := time.Now()
				conn.Cmd(fmt.Sprintf("a LOGIN user%d pass", i))
				took.add(time.Since(start))
				conn.Close()
			}
		})
	}
	all.Wait()
	b.StopTimer()
	took.report(b, "")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
	undecided := l.Stats().Total.Undecided
	b.ReportMetric(float64(undecided)/float64(b.N)*100, "undecided-%")
}

// quiet is a benchmark that drops the cleanup functions, one of which each connection adds.
type quiet struct{ *testing.B }

func (quiet) Cleanup(func()) {}

// BenchmarkAcquire measures only a lease, taken and released, with Redis and when Redis is known to
// be stopped.
func BenchmarkAcquire(b *testing.B) {
	for _, stopped := range []bool{false, true} {
		b.Run(fmt.Sprintf("stopped=%v", stopped), func(b *testing.B) {
			r := startRedis(b)
			o := options(r.address())
			o.Timeout = 50 * time.Millisecond
			c := newNode(b, o)
			admit(b, c, login("nobody", 1)).Release()
			if stopped {
				r.signal(syscall.SIGSTOP)
				defer r.signal(syscall.SIGCONT)
				c.Acquire(login("nobody", 1))
			}
			var took times
			late, l := 0, login("karen", 1_000_000)
			for b.Loop() {
				start := time.Now()
				lease, err := c.Acquire(l)
				took.add(time.Since(start))
				if err != nil {
					late++
				}
				lease.Release()
			}
			took.report(b, "")
			b.ReportMetric(float64(late)/float64(b.N)*100, "undecided-%")
		})
	}
}

// BenchmarkRenew measures the cost of 100,000 sessions of 20,000 users that are logged in and do
// nothing: CPU of Redis and of the node in percent of a core over one interval of 10 s, and the
// time of a login meanwhile.
func BenchmarkRenew(b *testing.B) {
	const sessions = 100_000
	r := startRedis(b)
	o := options(r.address())
	o.Lease = 30 * time.Second
	c := newNode(b, o)
	start := time.Now()
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			for n := i; n < sessions; n += 64 {
				_, err := c.Acquire(login(fmt.Sprint("user", n%20_000), 20))
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(sessions/time.Since(start).Seconds(), "logins/s")
	time.Sleep(10 * time.Second) // the first renewal
	for b.Loop() {
		redisBefore, nodeBefore := cpuOf(b, r.cmd.Process.Pid), cpuOf(b, os.Getpid())
		start := time.Now()
		var took times
		for time.Since(start) < 10*time.Second {
			at := time.Now()
			lease, err := c.Acquire(login("karen", 20))
			took.add(time.Since(at))
			require.NoError(b, err)
			lease.Release()
			time.Sleep(10 * time.Millisecond)
		}
		seconds := time.Since(start).Seconds()
		b.ReportMetric((cpuOf(b, r.cmd.Process.Pid)-redisBefore)/seconds*100, "redis-%")
		b.ReportMetric((cpuOf(b, os.Getpid())-nodeBefore)/seconds*100, "node-%")
		took.report(b, "login-")
	}
	require.Zero(b, c.Stats().Errors)
	info, err := r.client().Do(b.Context(), r.client().B().Info().Section("memory").Build()).ToString()
	require.NoError(b, err)
	_, memory, _ := strings.Cut(info, "used_memory:")
	memory, _, _ = strings.Cut(memory, "\r")
	bytes, err := strconv.ParseFloat(memory, 64)
	require.NoError(b, err)
	b.ReportMetric(bytes/(1<<20), "redis-MiB")
}

// cpuOf returns the CPU time of a process, in seconds.
func cpuOf(b *testing.B, pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip("only Linux tells")
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	const ticks = 100 // a second, on each Linux
	return float64(user+system) / ticks
}
