package limits_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// An address has sessions of several users. The state of one of them must not refuse the next
// login, which may be another user's.
func TestAnAddressStaysMixedWhileSessionsOfSeveralUsersAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var accounts []string
		b := &backend{}
		s := serve(t, b, &limits.Options{MaxLoginsPerUser: 2, Username: func(imapserver.Session) string {
			account := accounts[0]
			accounts = accounts[1:]
			return account
		}})
		accounts = []string{"karen", "bob", "bob", "eve"}
		for range 4 {
			_, answer := s.login("192.0.2.1", "shared")
			assert.Contains(t, answer, "OK", "%d more", len(accounts))
		}
		assert.EqualValues(t, 4, b.checks.Load())
	})
}

func TestDryRunEvictsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []limits.Event
		s := serve(t, &backend{}, &limits.Options{
			MaxLoginsPerUser: 1, EvictIdle: time.Minute, DryRun: true,
			OnEvent: func(e limits.Event) { events = append(events, e) },
		})
		silent, _ := s.login("192.0.2.1", "karen")
		time.Sleep(2 * time.Minute)
		_, answer := s.login("192.0.2.1", "karen")
		assert.Contains(t, answer, "OK")
		time.Sleep(time.Second)
		assert.True(t, imaptest.IsOK(silent.Cmd("n NOOP")))
		s.inUse(limits.Stats{Connections: 2, Sessions: 2})
		assert.Empty(t, events, "it would not have been refused")
	})
}

// A login that timed out gets the limit that made it wait as its answer.
func TestTheRefusalAfterTheWaitNamesTheLimit(t *testing.T) {
	for _, test := range []struct {
		options limits.Options
		want    string
	}{
		{limits.Options{MaxLoginsPerUser: 1}, noUserLogins},
		{limits.Options{MaxLoginsPerIP: 1}, noIPLogins},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, &backend{login: slowCheck(time.Minute)}, &test.options)
			s.dial("192.0.2.1").Send("a LOGIN karen pass")
			synctest.Wait()
			took := elapsed(func() {
				_, answer := s.login("192.0.2.1", "karen")
				assert.Equal(t, test.want, answer)
			})
			assert.Equal(t, 30*time.Second, took)
		})
	}
}

// Two logins wait for 29 s until a wrong password has been checked. Then one of them is checked in
// the place of a silent session, and the other one has a second left to wait.
func TestALoginThatAsksAgainWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, w := checked(0)
		var told recorder
		s := serve(t, b, &limits.Options{
			MaxLoginsPerUser: 1, EvictIdle: time.Minute, OnEvent: told.add,
		})
		s.login("192.0.2.1", "karen")
		time.Sleep(2 * time.Minute)
		w.mu.Lock()
		w.took = 29 * time.Second
		w.mu.Unlock()
		answers, start := make(chan time.Duration, 3), time.Now()
		for _, password := range []string{"wrong", "pass", "pass"} {
			c := s.dial("192.0.2.1")
			c.Send("a LOGIN karen " + password)
			synctest.Wait()
			go func() {
				c.Answer("a")
				answers <- time.Since(start)
			}()
		}
		for _, want := range []time.Duration{29 * time.Second, 30 * time.Second, 58 * time.Second} {
			assert.Equal(t, want, <-answers)
		}
		var waited []time.Duration
		for _, e := range told.all() {
			if e.Kind == limits.EventAdmitted || e.Kind == limits.EventTimedOut {
				waited = append(waited, e.Waited)
			}
		}
		assert.Equal(t, []time.Duration{29 * time.Second, 30 * time.Second}, waited)
	})
}

// A login whose client hangs up just before its turn must not keep the turn.
func TestALoginWhoseClientHangsUpAtItsTurnLeavesNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	checking, finish := make(chan struct{}), make(chan struct{})
	b := &backend{login: func(string, string) error {
		checking <- struct{}{}
		<-finish
		return nil
	}}
	limiter := limits.New(&limits.Options{MaxLoginsPerUser: 5})
	address := listenTCP(t, plain, limiter.Wrap(b.NewSession))
	var conns []*imaptest.Conn
	for i := range 2 {
		c := imaptest.DialTCP(t, address)
		c.Send("a LOGIN karen pass")
		if i == 0 {
			<-checking
		}
		conns = append(conns, c)
	}
	for limiter.Stats().LoginsWaiting == 0 {
		runtime.Gosched()
	}
	conns[1].Close()
	close(finish)
	assert.Contains(t, conns[0].Line(), "a OK")
	for limiter.Stats().Connections > 1 {
		runtime.Gosched()
	}
	stats := limiter.Stats()
	stats.Refused, stats.Total = limits.Refusals{}, limits.Totals{}
	assert.Equal(t, limits.Stats{Connections: 1, Sessions: 1}, stats)
	assert.EqualValues(t, 1, b.checks.Load())
}
