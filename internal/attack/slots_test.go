package attack_test

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// opened logs in and selects INBOX.
func (s *site) opened(user string) *imaptest.Conn {
	c, answer := s.login(here, user)
	assert.Contains(s.t, answer, "OK")
	c.Cmd("s SELECT INBOX")
	return c
}

// One account, on as many sessions as it may have, uses only its own slots. Others do not wait for
// it.
func TestHoldingEveryFetchSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := attackable(t, limits.DefaultOptions())
		karen := s.opened("karen")
		end := make(chan struct{})
		s.fetch = func() { <-end }
		for range 20 {
			s.opened("mallory").Send("a FETCH 1 BODY[]")
		}
		synctest.Wait()
		assert.Equal(t, 10, s.limiter.Stats().Fetches)
		assert.Equal(t, 10, s.limiter.Stats().FetchesWaiting)

		s.fetch = nil
		start := time.Now()
		assert.True(t, imaptest.IsOK(karen.Cmd("a FETCH 1 FLAGS")))
		assert.Zero(t, time.Since(start))
		time.Sleep(41 * time.Second)
		assert.Equal(t, 10, s.limiter.Stats().Fetches)
		assert.Zero(t, s.limiter.Stats().FetchesWaiting, "who waits too long is refused")
		close(end)
	})
}

// A command that is incomplete holds no slot, because it does not run yet.
func TestHoldingEveryFetchSlotByCommandsThatDoNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := limits.DefaultOptions()
		options.MaxFetches, options.MaxSearches = 1, 1
		s := attackable(t, options)
		karen := s.opened("karen")
		for i, slow := range []string{
			"a FETCH 1 BODY[", "a UID FETCH 1:*", "a SEARCH TEXT {4096}\r\nx",
			"a UID SEARCH OR TEXT {10+}\r\nx", "a APPEND INBOX {100000}\r\nx",
		} {
			c := s.opened("mallory")
			_, err := io.WriteString(c.Conn, slow)
			assert.NoError(t, err)
			synctest.Wait()
			for _, command := range []string{
				"FETCH 1 FLAGS", "SEARCH ALL", "UID SEARCH ALL", "APPEND INBOX {1+}\r\nx",
			} {
				start := time.Now()
				assert.True(t, imaptest.IsOK(karen.Cmd(fmt.Sprintf("a%d %s", i, command))), command)
				assert.Zero(t, time.Since(start))
			}
		}
		time.Sleep(time.Hour)
	})
}

// However long the queue of one user is, the next command of another user runs next.
func TestFillingTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := limits.DefaultOptions()
		options.MaxFetches = 1
		s := attackable(t, options)
		s.fetch = func() { time.Sleep(time.Second) }
		karen := s.opened("karen")
		for range 20 {
			s.opened("mallory").Send("a FETCH 1 BODY[]")
		}
		synctest.Wait()
		start := time.Now()
		assert.True(t, imaptest.IsOK(karen.Cmd("a FETCH 1 FLAGS")))
		assert.LessOrEqual(
			t, time.Since(start), 3*time.Second, "the one that runs, at most one more, and the own",
		)
		time.Sleep(time.Hour)
	})
}

// One account does not keep others from any other command either.
func TestHoldingEveryCommandSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := attackable(t, limits.DefaultOptions())
		karen := s.opened("karen")
		end := make(chan struct{})
		s.status = func() { <-end }
		for range 20 {
			c, _ := s.login(here, "mallory")
			c.Send("a STATUS INBOX (UIDNEXT)\r\nb STATUS INBOX (UIDNEXT)")
		}
		synctest.Wait()
		assert.Equal(t, 10, s.limiter.Stats().Commands)
		assert.Equal(t, 10, s.limiter.Stats().CommandsWaiting)
		start := time.Now()
		for _, command := range []string{
			"NOOP", `LIST "" *`, "SELECT Work", "STORE 1 FLAGS ()", "EXPUNGE", "APPEND INBOX {1+}\r\nx",
			"CREATE x",
		} {
			assert.True(t, imaptest.IsOK(karen.Cmd("a "+command)), command)
		}
		assert.Zero(t, time.Since(start))
		time.Sleep(41 * time.Second)
		assert.Equal(t, 10, s.limiter.Stats().CommandsWaiting, "the first ten were refused")
		close(end)
	})
}
