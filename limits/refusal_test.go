package limits_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// A SEARCH times out while an equal one runs: the event has the timeout that was reached.
func TestASearchThatWaitsForAnEqualOneReportsItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []limits.Event
		options := sharing()
		options.SearchQueueTimeout = 25 * time.Second
		options.OnEvent = func(e limits.Event) { events = append(events, e) }
		s := serveFinder(t, &finder{took: 5 * time.Minute}, options)
		first, second := s.selected("karen"), s.selected("karen")
		first.Send("x UID SEARCH SEEN")
		synctest.Wait()
		assert.Equal(t, noSearches, imaptest.Last(second.Cmd("x UID SEARCH SEEN")))
		if assert.Len(t, events, 1) {
			assert.Equal(t, limits.EventTimedOut, events[0].Kind)
			assert.Equal(t, "SearchQueueTimeout", events[0].Limit)
			assert.Equal(t, "25s", events[0].Max)
		}
	})
}

// A login without limits can still wait for others of its user. The event then names no limit.
func TestALoginWithoutALimitThatWaitsInVainNamesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []limits.Event
		s := serve(t, &backend{login: slowCheck(time.Minute)}, &limits.Options{
			LimitsFor: func(limits.Client) limits.ClientLimits { return limits.ClientLimits{} },
			OnEvent:   func(e limits.Event) { events = append(events, e) },
		})
		s.dial("192.0.2.1").Send("a LOGIN karen pass")
		synctest.Wait()
		_, answer := s.login("192.0.2.1", "karen")
		assert.Equal(t, noIPLogins, answer)
		if assert.Len(t, events, 1) {
			assert.Equal(t, limits.EventTimedOut, events[0].Kind)
			assert.Equal(t, 30*time.Second, events[0].Waited)
			assert.Empty(t, events[0].Limit)
			assert.Empty(t, events[0].Max)
		}
		assert.EqualValues(t, 1, s.limiter.Stats().Refused.LoginsPerIP)
	})
}
