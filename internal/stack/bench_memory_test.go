package stack_test

import (
	"bufio"
	"runtime"
	"testing"

	"github.com/imapgate/imapgate/internal/stack"
)

// BenchmarkMemory reports the memory of an idle session that is logged in and has a mailbox
// selected. With the bare server this is the connection, its buffers and its goroutine. Then it
// reports how much more it is with the whole stack, and with the bare server again.
//
//	go test -run '^$' -bench '^BenchmarkMemory$' -benchtime 1x ./internal/stack
func BenchmarkMemory(b *testing.B) {
	backend := newStore()
	sessionMemory(b, backend.newSession) // the first sessions make the runtime itself grow
	for b.Loop() {
		bare := sessionMemory(b, backend.newSession)
		b.ReportMetric(bare, "bare-B/session")
		b.ReportMetric(sessionMemory(b, whole(backend.newSession))-bare, "stack-more-B/session")
		b.ReportMetric(sessionMemory(b, backend.newSession)-bare, "bare-more-B/session")
	}
	b.ReportMetric(0, "ns/op")
}

// sessionMemory returns how many bytes of heap and goroutine stacks a session takes, on average
// over many.
func sessionMemory(b *testing.B, newSession stack.NewSessionFunc) float64 {
	const sessions = 2000
	address := serve(b, newSession)
	login(b, address, 0).logout()
	before := memory()
	clients := make([]*client, sessions)
	for user := range clients {
		clients[user] = login(b, address, user)
		clients[user].r = nil
	}
	used := memory() - before
	for _, c := range clients {
		c.r = bufio.NewReader(c.conn)
		c.logout()
	}
	return float64(used) / sessions
}

func memory() int64 {
	runtime.GC()
	runtime.GC() // frees what the first one has only put aside
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}
