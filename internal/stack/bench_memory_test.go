package stack_test

import (
	"bufio"
	"runtime"
	"testing"

	"github.com/imapgate/imapgate/internal/stack"
)

// BenchmarkMemory reports what a session takes that is logged in, has a mailbox selected and does
// nothing: with the bare server, where that is the connection, its buffers and its goroutine, and
// how much more with the whole stack, and again with the bare server.
//
//	go test -run '^$' -bench '^BenchmarkMemory$' -benchtime 1x ./internal/stack
func BenchmarkMemory(b *testing.B) {
	backend := newStore()
	sessionMemory(b, backend.newSession) // the first ones make the runtime itself grow
	for b.Loop() {
		bare := sessionMemory(b, backend.newSession)
		b.ReportMetric(bare, "bare-B/session")
		b.ReportMetric(sessionMemory(b, whole(backend.newSession))-bare, "stack-more-B/session")
		b.ReportMetric(sessionMemory(b, backend.newSession)-bare, "bare-more-B/session")
	}
	b.ReportMetric(0, "ns/op")
}

// sessionMemory returns how many bytes of heap and of goroutines' stacks one of many sessions
// takes.
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
	runtime.GC() // what the first one has only put aside
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}
