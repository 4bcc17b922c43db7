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
		`LIST "" *`, `LIST "" * RETURN (STATUS (MESSAGES UNSEEN))`, `LIST "" %`, `LSUB "" *`,
		`SELECT INBOX`, `STATUS INBOX (MESSAGES)`, `STATUS #users (MESSAGES)`,
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

// BenchmarkPatterns compares the CPU time of a LIST of many patterns, bare and wrapped, over 100
// mailboxes of 20 levels, none of which exists but the last.
func BenchmarkPatterns(b *testing.B) {
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprintf("%03d%s", i, strings.Repeat("/abcd", 19))
	}
	memory := imaptest.Memory(imaptest.User("bob", names...))
	bare, wrapped := dial(b, memory), dial(b, vfolders.Wrap(memory, nil))
	for name, pattern := range map[string]func(i int) string{
		"equal":     func(int) string { return "%q" },
		"different": func(i int) string { return fmt.Sprintf("%%%xz", i) },
		"stars":     func(i int) string { return fmt.Sprintf("*%xz", i) },
		"levels":    func(i int) string { return fmt.Sprintf("%%/%%/%x", i) },
		"middle":    func(i int) string { return fmt.Sprintf("0%%c%x", i) },
		"literal":   func(i int) string { return fmt.Sprintf("%03x/abcd", i) },
		"prefix":    func(i int) string { return fmt.Sprintf("%03x*", i+256) },
		"long":      func(i int) string { return "%" + strings.Repeat("/abcd", 9) + fmt.Sprint(i) },
	} {
		text := `LIST "" (`
		for i := 0; len(text) < 48<<10; i++ {
			text += pattern(i) + " "
		}
		text = strings.TrimSuffix(text, " ") + ")"
		b.Run(name, func(b *testing.B) {
			var spent [2]time.Duration
			for b.Loop() {
				for i, c := range []*bufio.ReadWriter{bare, wrapped} {
					_, took := command(b, c, text)
					spent[i] += took
				}
			}
			b.ReportMetric(float64(spent[0])/1e6/float64(b.N), "bare-ms")
			b.ReportMetric(float64(spent[1])/1e6/float64(b.N), "wrapped-ms")
			b.ReportMetric(float64(spent[1])/float64(spent[0]), "wrapped/bare")
		})
	}
}
