package stack_test

import (
	"runtime"
	"testing"

	"github.com/imapgate/imapgate/internal/stack"
)

// BenchmarkMemory reports what a session that is logged in, has a mailbox selected, and does nothing, takes: the whole of its server's
// and its client's end on the bare server, and how much more with the stack. Goroutines' stacks are counted too.
func BenchmarkMemory(b *testing.B) {
	backend := newStore()
	for b.Loop() {
		bare := sessionMemory(b, backend.newSession)
		b.ReportMetric(bare, "bare-B/session")
		b.ReportMetric(sessionMemory(b, whole(backend.newSession))-bare, "stack-B/session-more")
		b.ReportMetric(sessionMemory(b, backend.newSession)-bare, "bare-B/session-more")
	}
	b.ReportMetric(0, "ns/op")
}

// sessionMemory returns how many bytes a session takes, of many.
func sessionMemory(b *testing.B, newSession stack.NewSessionFunc) float64 {
	const sessions = 4000
	address := serve(b, newSession)
	login(b, address, 0).logout()
	before := memory()
	clients := make([]*client, sessions)
	for user := range clients {
		clients[user] = login(b, address, user)
	}
	used := memory() - before
	for _, c := range clients {
		c.logout()
	}
	return float64(used) / sessions
}

func memory() int64 {
	for range 3 {
		runtime.GC()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}
