package limits

import (
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imapgate/imapgate/internal/socket"
)

// What 10,000 waiting commands cost in CPU time while they wait, with a look every half second
// whether their clients are still there.
//
//	go test -run '^$' -bench Waiting -benchtime 1x ./limits
func BenchmarkWaiting(b *testing.B) {
	const waiting = 10_000
	const window = 2 * time.Second
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	dialed, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer dialed.Close()
	conn, err := listener.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()

	for b.Loop() {
		limiter := New(&Options{MaxFetches: 1, FetchQueueTimeout: time.Hour})
		user := func() *session {
			s := &session{}
			s.limiter, s.turn, s.socket = limiter, "user", socket.Of(conn)
			s.limits.Store(limiter.settings.Load().everybody)
			return s
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
