package redislimits_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/limits/redislimits"
)

// Nodes count the same if one clock is right and the other is in the year 2000. A bubble's clock
// begins in 2000, and stands still while a connection waits for Redis.
func TestClocksOfTheNodesMayDiffer(t *testing.T) {
	r := startRedis(t)
	right := newNode(t, options(r.address()))
	admit(t, right, login("karen", 2))
	synctest.Test(t, func(t *testing.T) {
		require.Equal(t, 2000, time.Now().Year())
		old, err := redislimits.New(options(r.address()))
		require.NoError(t, err)
		defer old.Close()
		lease, err := old.Acquire(login("karen", 2))
		require.NoError(t, err)
		refuse(t, old, login("karen", 2), limits.ErrTooManyUserLogins)
		refuse(t, right, login("karen", 2), limits.ErrTooManyUserLogins)
		sessions, err := old.Sessions(t.Context())
		require.NoError(t, err)
		assert.Len(t, sessions, 2)
		lease.Release()
	})
	client := r.client()
	eventually(t, "one is left", func() bool { return count(t, client, "karen") == 1 })
	refuse(t, right, login("karen", 1), limits.ErrTooManyUserLogins)
}
