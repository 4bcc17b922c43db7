package limits

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/admission"
)

// DryRun is switched on when a command has found that it must wait, but does not yet count as one
// that waits, so that SetOptions cannot let it go. It finds out by itself.
func TestDryRunIsSwitchedOnAsACommandBeginsToWait(t *testing.T) {
	for name, await := range map[string]func(t *testing.T, s *session, switchOn func()){
		"FETCH": func(t *testing.T, s *session, switchOn func()) {
			q := &s.limiter.fetches
			fetch := &turn{queue: q, Ticket: q.gate.EnterUntil(s.turn, &s.client, time.Time{})}
			require.True(t, fetch.Waiting())
			switchOn()
			s.await(fetch)
			assert.True(t, fetch.shadow)
			s.exit(fetch)
		},
		"SEARCH": func(t *testing.T, s *session, switchOn func()) {
			switchOn()
			var search part
			search.Join(
				&s.limiter.flights, flightKey{}, s.turn, &s.client, admission.Alone, time.Time{},
			)
			require.True(t, search.Waiting())
			s.awaitSearch(&search)
			assert.Equal(t, admission.Exempt, search.Refusal.Reason)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // where waiting for ever is noticed
				options := Options{MaxFetches: 1, MaxSearches: 1}
				l := New(&options)
				s := &session{}
				s.limiter = l
				s.identity.Store(&identity{})
				require.NoError(t, s.refreshLimits())
				s.turn = s.holdTurn()
				defer s.turn.Release()
				others := l.keys.Hold("another user")
				defer others.Release()
				fetch, search := l.fetches.gate.EnterAnyway(others), l.searches.gate.EnterAnyway(others)
				await(t, s, func() {
					options.DryRun = true
					require.NoError(t, l.SetOptions(&options))
				})
				fetch.Release()
				search.Release()
				assert.Zero(t, l.Stats())
			})
		})
	}
}
