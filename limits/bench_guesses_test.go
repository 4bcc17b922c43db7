package limits_test

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// How long a login takes, as a multiple of a password check, beside a stranger who guesses on 300
// connections, each time for another user. The backend has 16 workers, and a check takes 100 ms.
// The cases are: DefaultOptions; no delay after wrong passwords, so that only the checks are
// limited; and no limits.
//
//	go test -run '^$' -bench LoginBesideGuessers -benchtime 1x ./limits
func BenchmarkLoginBesideGuessers(b *testing.B) {
	const guessers, check = 300, 100 * time.Millisecond
	noDelay := limits.DefaultOptions()
	noDelay.MaxGuessDelay = 0
	for _, test := range []struct {
		name    string
		options *limits.Options
		logins  int
	}{
		{"defaults", limits.DefaultOptions(), 100}, {"no-delay", noDelay, 100},
		{"no-limits", nil, 10}, // each waits for all guessers
	} {
		b.Run(test.name, func(b *testing.B) {
			for b.Loop() {
				pool := make(workers, 16)
				mail := &backend{login: func(_, password string) error {
					defer pool.enter()()
					return slowCheck(check)("", password)
				}}
				server := imaptest.NewServer(b, &imapserver.Options{
					NewSession: limits.New(test.options).Wrap(mail.NewSession), InsecureAuth: true,
				})
				var over atomic.Bool
				var all sync.WaitGroup
				for i := range guessers {
					all.Go(func() {
						for n := 0; !over.Load(); n++ {
							guessOnce(server, fmt.Sprintf("a LOGIN user%d guess%d\r\n", n*guessers+i, n), &over)
						}
					})
				}
				time.Sleep(5 * check)
				var took []time.Duration
				for range test.logins {
					c := server.Dial()
					c.Line()
					took = append(took, elapsed(func() {
						if answer := imaptest.Last(c.Cmd("a LOGIN karen pass")); !strings.HasPrefix(answer, "OK") {
							b.Errorf("login: %s", answer)
						}
					}))
					c.Cmd("b LOGOUT")
					c.Close()
				}
				over.Store(true)
				time.Sleep(check) // nobody dials any more
				server.Close()
				all.Wait()
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2])/float64(check), "checks-p50")
				b.ReportMetric(float64(took[(len(took)-1)*99/100])/float64(check), "checks-p99")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// guessOnce connects, and sends the guess. The server may close the connection early.
func guessOnce(server *imaptest.Server, guess string, over *atomic.Bool) {
	conn := server.DialFrom("203.0.113.9")
	defer conn.Close()
	lines := bufio.NewReader(conn)
	for _, say := range []string{guess, ""} { // after the greeting, and after the answer
		if _, err := lines.ReadString('\n'); err != nil || over.Load() {
			return
		}
		io.WriteString(conn, say)
	}
}
