package vfolders_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

// tree is a user with 10,000 mailboxes, in 100 folders that do not exist.
func tree() *imapmemserver.User {
	mailboxes := make([]string, 10_000)
	for i := range mailboxes {
		mailboxes[i] = fmt.Sprintf("#users/user %d/Folder %d", i/100, i%100)
	}
	return imaptest.User("bob", mailboxes...)
}

// dial logs in over a loopback socket.
func dial(tb testing.TB, newSession vfolders.NewSessionFunc) *bufio.ReadWriter {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	server := imapserver.New(&imapserver.Options{NewSession: newSession, InsecureAuth: true})
	go server.Serve(listener)
	tb.Cleanup(func() { server.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(tb, err)
	tb.Cleanup(func() { conn.Close() })
	c := bufio.NewReadWriter(bufio.NewReaderSize(conn, 64<<10), bufio.NewWriter(conn))
	command(tb, c, "LOGIN bob pass")
	return c
}

// command returns how many lines the answer has, and how long it took.
func command(tb testing.TB, c *bufio.ReadWriter, text string) (int, time.Duration) {
	start := time.Now()
	c.WriteString("a " + text + "\r\n")
	c.Flush()
	for lines := 1; ; lines++ {
		line, err := c.ReadSlice('\n')
		require.NoError(tb, err)
		if strings.HasPrefix(string(line), "a ") {
			return lines, time.Since(start)
		}
	}
}

// BenchmarkOverLoopback runs each command bare and wrapped, in turns, and reports what the wrapper
// makes of it: the aim for LIST of everything is 1.5.
func BenchmarkOverLoopback(b *testing.B) {
	memory := imaptest.Memory(tree())
	bare, wrapped := dial(b, memory), dial(b, vfolders.Wrap(memory, nil))
	limited := dial(b, vfolders.Wrap(memory, &vfolders.Options{Prefixes: []string{"Public"}}))
	for _, text := range []string{
		`LIST "" *`, `LIST "" * RETURN (STATUS (MESSAGES UNSEEN))`, `LIST "" %`, `LSUB "" *`, `SELECT INBOX`, `STATUS INBOX (MESSAGES)`, `STATUS #users (MESSAGES)`,
	} {
		b.Run(text, func(b *testing.B) {
			var spent [3]time.Duration
			for b.Loop() {
				for i, c := range []*bufio.ReadWriter{bare, wrapped, limited} {
					_, took := command(b, c, text)
					spent[i] += took
				}
			}
			b.ReportMetric(float64(spent[0])/1e3/float64(b.N), "bare-µs")
			b.ReportMetric(float64(spent[1])/1e3/float64(b.N), "wrapped-µs")
			b.ReportMetric(float64(spent[1])/float64(spent[0]), "wrapped/bare")
			b.ReportMetric(float64(spent[2])/float64(spent[0]), "limited/bare")
		})
	}
}

// BenchmarkHostilePattern lists one virtual folder by patterns whose stars double the work of
// go-imap's matcher each. The backend here matches nothing itself.
func BenchmarkHostilePattern(b *testing.B) {
	for _, stars := range []int{1, 7, 63, 200} {
		b.Run(fmt.Sprint(stars), func(b *testing.B) {
			c := dial(b, vfolders.Wrap(quick{names('/', strings.Repeat("a", 250)+"/x")}.session, nil))
			for b.Loop() {
				command(b, c, `LIST "" `+strings.Repeat("*a", stars)+"*b")
			}
		})
	}
}
