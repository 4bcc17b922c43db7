package stack_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/stack"
	"github.com/imapgate/imapgate/limits"
)

// guarded returns a server of the root package whose only limits are those of the guard.
func guarded(tb testing.TB, backend *store) stack.Server {
	defaults := limits.DefaultOptions()
	server, err := imapgate.NewServer(&imapgate.Options{
		Server: imapserver.Options{NewSession: backend.newSession, InsecureAuth: true},
		Limits: &limits.Options{
			MaxLoginBytes:   defaults.MaxLoginBytes,
			MaxCommandBytes: defaults.MaxCommandBytes,
			MaxSearchDepth:  defaults.MaxSearchDepth,
		},
	})
	require.NoError(tb, err)
	return server
}

func bare(backend *store) stack.Server {
	return imapserver.New(&imapserver.Options{NewSession: backend.newSession, InsecureAuth: true})
}

// BenchmarkGuard runs the same commands on go-imap's server, on that of the root package, and on
// go-imap's again. It does so in turns of some milliseconds, over plain and TLS loopback sockets.
// With -benchtime 100x each server runs 100 FETCHes of a message of 100 MiB, 10,000 small ones,
// 10,000 NOOPs and 1,000 APPENDs of 4 KB. It reports what BenchmarkStack reports for each turn, and
// the ratio of the turns that took the least CPU time, which a busy machine changes least.
//
//	go test -run '^$' -bench '^BenchmarkGuard$' -benchtime 100x ./internal/stack
func BenchmarkGuard(b *testing.B) {
	const line = "A line of a message.\r\n"
	message := strings.Repeat(line, 4096/len(line))
	backend := newStore()
	backend.message = bytes.Repeat([]byte(line), 100<<20/len(line))
	for _, row := range []struct {
		name, command string
		count         int // commands in a turn
	}{
		{"FETCH-of-100-MiB", "FETCH 1:1 BODY[]", 1},
		{"small-FETCHes", "FETCH 1:1 FLAGS", 100},
		{"NOOPs", "NOOP", 100},
		{"APPENDs-of-4-KB", fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(message), message), 10},
	} {
		for _, secure := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/TLS=%v", row.name, secure), func(b *testing.B) {
				var turns []func() took
				for _, server := range []stack.Server{bare(backend), guarded(b, backend), bare(backend)} {
					turns = append(turns, turnsOf(b, server, secure, row.command, row.count))
				}
				compare(b, turns...)
			})
		}
	}
}

// turnsOf returns a function that runs the command count times on a new connection to the server.
func turnsOf(
	b *testing.B, server stack.Server, secure bool, command string, count int,
) func() took {
	conn, err := net.Dial("tcp", listen(b, server, secure))
	require.NoError(b, err)
	if secure {
		conn = tls.Client(conn, imaptest.ClientTLS())
	}
	c := newClient(b, conn).login(1)
	text := []byte("a " + command + "\r\n")
	known := c.do(text)
	return func() took {
		start, used := time.Now(), cpuTime(b)
		for range count {
			c.again(text, known)
		}
		return took{time.Since(start), cpuTime(b) - used}
	}
}

// BenchmarkGuardMemory reports the memory of an idle connection that is logged in, and how much
// more it is with the guard, plain and TLS.
//
//	go test -run '^$' -bench '^BenchmarkGuardMemory$' -benchtime 1x ./internal/stack
func BenchmarkGuardMemory(b *testing.B) {
	backend := newStore()
	for _, secure := range []bool{false, true} {
		b.Run(fmt.Sprintf("TLS=%v", secure), func(b *testing.B) {
			connectionMemory(b, bare(backend), secure) // the first connections make the runtime itself grow
			for b.Loop() {
				first := connectionMemory(b, bare(backend), secure)
				b.ReportMetric(first, "bare-B/connection")
				b.ReportMetric(
					connectionMemory(b, guarded(b, backend), secure)-first,
					"guard-more-B/connection",
				)
				b.ReportMetric(connectionMemory(b, bare(backend), secure)-first, "bare-more-B/connection")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func connectionMemory(b *testing.B, server stack.Server, secure bool) float64 {
	const connections = 1000
	address := listen(b, server, secure)
	before := memory()
	conns := make([]net.Conn, connections)
	for i := range conns {
		conn, err := net.Dial("tcp", address)
		require.NoError(b, err)
		if secure {
			conn = tls.Client(conn, imaptest.ClientTLS())
		}
		_, err = io.WriteString(conn, "a LOGIN karen pass\r\n")
		require.NoError(b, err)
		said := make([]byte, 0, 1024)
		for !bytes.Contains(said, []byte("a OK")) {
			n, err := conn.Read(said[len(said):cap(said)])
			require.NoError(b, err)
			said = said[:len(said)+n]
		}
		conns[i] = conn
	}
	time.Sleep(100 * time.Millisecond)
	used := memory() - before
	for _, conn := range conns {
		conn.Close()
	}
	runtime.KeepAlive(conns)
	return float64(used) / connections
}
