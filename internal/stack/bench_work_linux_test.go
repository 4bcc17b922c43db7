package stack_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/stack"
	"github.com/imapgate/imapgate/limits"
)

// script is a socket whose client sends the same command again and again, and waits for each
// answer. It does not involve the kernel, so the benchmark measures the server and the guard only.
type script struct {
	net.Conn
	commands [][]byte
	rest     []byte
	reads    int
	writes   int
	closed   chan struct{}
}

func (s *script) Read(p []byte) (int, error) {
	s.reads++
	if len(s.rest) == 0 {
		if len(s.commands) == 0 {
			return 0, io.EOF
		}
		s.rest, s.commands = s.commands[0], s.commands[1:]
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	s.writes++
	return len(p), nil
}

func (s *script) Close() error {
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	return nil
}

func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) RemoteAddr() net.Addr             { return scriptAddr }
func (s *script) LocalAddr() net.Addr              { return scriptAddr }

var scriptAddr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 143}

// scripted is a listener of such sockets.
type scripted struct{ conns chan net.Conn }

func (s *scripted) Accept() (net.Conn, error) {
	conn, ok := <-s.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (s *scripted) Close() error   { return nil }
func (s *scripted) Addr() net.Addr { return &net.TCPAddr{} }

// BenchmarkGuardWork reports what a command costs in the process, without a socket and the kernel.
// It reports nanoseconds, the least of all turns, and reads and writes of the socket. Other
// processes of the machine hardly change these. What the guard saves on a socket, by writing more
// at once and setting fewer deadlines, is not part of it.
//
//	go test -run '^$' -bench '^BenchmarkGuardWork$' -benchtime 100x ./internal/stack
func BenchmarkGuardWork(b *testing.B) {
	backend := newStore()
	message := strings.Repeat("A line of a message.\r\n", 4096/22)
	for _, row := range []struct{ name, command string }{
		{"small-FETCH", "FETCH 1:1 FLAGS"},
		{"NOOP", "NOOP"},
		{"APPEND-of-4-KB", fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(message), message)},
	} {
		b.Run(row.name, func(b *testing.B) {
			text := []byte("a " + row.command + "\r\n")
			plain, guard := workOf(b, bare(backend), text), workOf(b, guarded(b, backend), text)
			inner := workOf(b, limited(backend), text)
			for b.Loop() {
				plain.turn()
				inner.turn()
				guard.turn()
			}
			b.ReportMetric(inner.least-plain.least, "limits-more-ns")
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(plain.least, "bare-ns")
			b.ReportMetric(guard.least, "guard-ns")
			b.ReportMetric(guard.least-plain.least, "more-ns")
			b.ReportMetric(plain.reads, "bare-reads")
			b.ReportMetric(guard.reads, "guard-reads")
			b.ReportMetric(plain.writes, "bare-writes")
			b.ReportMetric(guard.writes, "guard-writes")
		})
	}
}

// limited returns go-imap's server with the same packages around each session as a guarded one.
func limited(backend *store) stack.Server {
	newSession := limits.New(&limits.Options{}).Wrap(idle.Wrap(backend.newSession, nil))
	return imapserver.New(&imapserver.Options{NewSession: newSession, InsecureAuth: true})
}

type work struct {
	tb                   testing.TB
	listener             *scripted
	command              []byte
	least, reads, writes float64
}

func workOf(tb testing.TB, server stack.Server, command []byte) *work {
	w := &work{tb: tb, listener: &scripted{make(chan net.Conn)}, command: command, least: 1e18}
	served := make(chan error)
	go func() { served <- server.Serve(w.listener) }()
	tb.Cleanup(func() {
		close(w.listener.conns)
		<-served
		require.NoError(tb, server.Close())
	})
	return w
}

// turn connects a client that sends its commands and logs out.
func (w *work) turn() {
	const commands = 2000 // so many that the cost of the connection does not matter
	s := &script{closed: make(chan struct{})}
	s.commands = [][]byte{[]byte("a LOGIN karen pass\r\n"), []byte("a SELECT INBOX\r\n")}
	for range commands {
		s.commands = append(s.commands, w.command)
	}
	start := time.Now()
	w.listener.conns <- s
	<-s.closed
	w.least = min(w.least, float64(time.Since(start))/commands)
	w.reads, w.writes = float64(s.reads)/commands, float64(s.writes)/commands
}
