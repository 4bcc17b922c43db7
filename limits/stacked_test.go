package limits_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// With one Limiter inside another, the outer one does not bypass the inner one's limits to reach a
// backend that accepts a context. What the outer one stops is stopped in both.
func TestALimiterInsideAnotherOneLimitsToo(t *testing.T) {
	for command, want := range map[string]struct {
		inUse  limits.Stats
		answer string
	}{
		"FETCH 1 FLAGS": {limits.Stats{Fetches: 1, FetchesWaiting: 1}, "NO [LIMIT] FETCH took too long"},
		"SEARCH ALL": {
			limits.Stats{Searches: 1, SearchesWaiting: 1}, "NO [LIMIT] SEARCH took too long",
		},
	} {
		for i, prefix := range []string{"", "UID ", "", "UID "} {
			shorten := i > 1
			t.Run(fmt.Sprint(prefix, command, " ", shorten), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := &backend{status: func(string) error { time.Sleep(time.Second); return nil }}
					inner := limits.New(&limits.Options{
						MaxCommands: 1, MaxFetches: 1, FetchQueueTimeout: time.Hour,
						MaxSearches: 1, SearchQueueTimeout: time.Hour,
					})
					s := serveSessions(t, b, inner.Wrap(stoppableBackend(b, nil, shorten, false)), &limits.Options{
						FetchRunTimeout: time.Minute, SearchRunTimeout: time.Minute,
					})
					both := []*imaptest.Conn{s.selected("karen"), s.selected("bob")}
					start := time.Now()
					for _, c := range both {
						c.Send("x " + prefix + command)
						synctest.Wait()
					}
					stats := inner.Stats()
					want.inUse.Connections, want.inUse.Sessions = 2, 2
					assert.Equal(t, want.inUse, stats)
					for _, c := range both {
						assert.Equal(t, []string{"x " + want.answer}, c.Answer("x"))
					}
					assert.Equal(t, time.Minute, time.Since(start))
					stats = inner.Stats()
					assert.Zero(t, stats.Fetches+stats.FetchesWaiting+stats.Searches+stats.SearchesWaiting)
					for _, c := range both { // the sessions go on, and one waits
						c.Send("y STATUS INBOX (UIDNEXT)")
					}
					for _, c := range both {
						answer := c.Answer("y")
						assert.True(t, imaptest.IsOK(answer), "%q", answer)
						c.Cmd("z LOGOUT")
					}
					synctest.Wait()
					assert.Zero(t, inner.Entries())
				})
			})
		}
	}
}

// Close of the inner one stops what its own clients run, as if there were no outer one.
func TestCloseOfALimiterInsideAnotherOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		inner := limits.New(&limits.Options{MaxFetches: 1})
		s := serveSessions(t, b, inner.Wrap(stoppableBackend(b, nil, false, false)), &limits.Options{})
		c := s.selected("karen")
		c.Send("x FETCH 1 FLAGS")
		synctest.Wait()
		inner.Close()
		assert.Equal(t, []string{"x " + noShuttingDown}, c.Answer("x"))
	})
}

// A wrapper around the limits may ask the backend for something before anybody has logged in. Its
// command takes a turn as the address.
func TestAWrapperAroundTheLimitsThatAsksBeforeLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		limiter := limits.New(&limits.Options{MaxCommands: 1, MaxSearches: 1})
		wrapped := limiter.Wrap(b.NewSession)
		s := serveSessions(t, b,
			func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				session, greeting, err := wrapped(conn)
				assert.NoError(t, err)
				assert.NoError(t, session.Create("x", nil))
				_, err = session.Search(
					imapserver.NumKindUID, &imap.SearchCriteria{}, &imap.SearchOptions{},
				)
				return session, greeting, err
			}, nil)
		for range 2 {
			c := s.selected("karen")
			assert.True(t, imaptest.IsOK(c.Cmd("a CREATE y")))
			c.Close()
		}
		synctest.Wait()
		assert.Zero(t, limiter.Stats())
		assert.Zero(t, limiter.Entries())
	})
}
