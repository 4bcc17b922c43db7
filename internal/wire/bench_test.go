package wire_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/wire"
)

// same is a connection that reads the same bytes again and again. What is written to it is
// discarded.
type same struct {
	net.Conn
	line []byte
}

func (s *same) Read(p []byte) (int, error)       { return copy(p, s.line), nil }
func (s *same) Write(p []byte) (int, error)      { return len(p), nil }
func (s *same) SetReadDeadline(time.Time) error  { return nil }
func (s *same) SetWriteDeadline(time.Time) error { return nil }
func (s *same) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// BenchmarkCommand measures what the guard itself costs for a command and its answer, without a
// socket.
func BenchmarkCommand(b *testing.B) {
	for name, said := range map[string][2]string{
		"NOOP":  {"a NOOP\r\n", "a OK NOOP completed\r\n"},
		"FETCH": {"a FETCH 1:1 FLAGS\r\n", "* 1 FETCH (FLAGS (\\Seen))\r\na OK FETCH completed\r\n"},
		"SEARCH": {"a UID SEARCH OR FROM a@example.com NOT SEEN\r\n", "* SEARCH 1 2 3\r\n" +
			"a OK UID SEARCH completed\r\n"},
	} {
		b.Run(name, func(b *testing.B) {
			guard := wire.New(wire.Config{Limits: func(net.Conn) wire.Limits {
				return wire.Limits{LoginBytes: 64 << 10, CommandBytes: 1 << 20, SearchDepth: 30}
			}})
			conn, err := guard.Listen(newOnce(&same{line: []byte(said[0])})).Accept()
			require.NoError(b, err)
			_, err = conn.Write([]byte("* PREAUTH ready\r\n"))
			require.NoError(b, err)
			buf, answer := make([]byte, 4096), []byte(said[1])
			b.ReportAllocs()
			for b.Loop() {
				if n, err := conn.Read(buf); n != len(said[0]) || err != nil {
					b.Fatal(n, err)
				}
				if _, err := conn.Write(answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
