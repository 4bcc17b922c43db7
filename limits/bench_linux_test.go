package limits

import (
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The CPU time of 10,000 waiting commands while they wait. Every half second the limiter checks
// whether their clients are still there.
//
//	go test -run '^$' -bench Waiting -benchtime 1x ./limits
func BenchmarkWaiting(b *testing.B) {
	const waiting = 10_000
	const window = 2 * time.Second
	shared := connectedSocket(b)
	for b.Loop() {
		limiter := New(&Options{MaxFetches: 1, FetchQueueTimeout: time.Hour})
		user := func() *session {
			return fakeSession(limiter, "karen", netip.MustParseAddr("127.0.0.1"), shared)
		}
		var held turn
		if err := user().enter(&held, &limiter.fetches); err != nil {
			b.Fatal(err)
		}
		var all sync.WaitGroup
		for range waiting {
			all.Go(func() { user().enter(new(turn), &limiter.fetches) })
		}
		for limiter.Stats().FetchesWaiting < waiting {
			time.Sleep(10 * time.Millisecond)
		}
		before := cpuTime(b)
		time.Sleep(window)
		used := cpuTime(b) - before
		b.ReportMetric(float64(used.Milliseconds())/window.Seconds(), "cpu-ms/s")
		limiter.Close()
		all.Wait()
		held.Release()
	}
}

// cpuTime returns the CPU time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
