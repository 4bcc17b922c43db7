package budget

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Who waits in vain for all the others leaves nothing of the own half behind, and nobody is
// remembered who has no COPY any more.
func TestWhatAShareLeavesBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(100)
		other, karen := b.Share("bob"), b.Share("karen")
		require.NoError(t, other.Acquire(t.Context(), 80))
		assert.False(t, b.Share("").Try(21))
		for range 3 {
			s := b.Share("KAREN")
			assert.False(t, s.Try(21))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			assert.Error(t, s.Acquire(ctx, 40))
			cancel()
			assert.True(t, s.Try(20))
			assert.True(t, s.Try(0))
			s.Close()
			assert.Len(t, b.users, 2)
		}
		karen.Close()
		assert.Len(t, b.users, 1)
		other.Close()
		assert.Empty(t, b.users)
		assert.True(t, b.all.TryAcquire(100))
	})
}

// What a single command needs beyond half does not depend on the user's others, and everybody with
// a share learns who waits for it.
func TestAShareOfMoreThanHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(100)
		large, other := b.Share("karen"), b.Share("bob")
		require.NoError(t, large.Acquire(t.Context(), 60))
		require.True(t, other.Try(10))
		assert.False(t, large.Awaited())
		wait := func(user string, n int64) (done chan error) {
			done = make(chan error, 1)
			go func() { done <- b.Share(user).Acquire(t.Context(), n) }()
			synctest.Wait()
			return done
		}
		own := wait("karen", 10)
		assert.True(t, large.Awaited())
		assert.False(t, other.Awaited())
		assert.True(t, large.Try(20), "it has the half already")
		assert.EqualValues(t, 80, large.Held())
		others := wait("eve", 20)
		assert.True(t, large.Awaited())
		assert.True(t, other.Awaited())
		large.Shrink(50)
		synctest.Wait()
		assert.Len(t, own, 0, "half is what a user has")
		assert.NoError(t, <-others)
		large.Shrink(40)
		assert.NoError(t, <-own)
		large.Shrink(45)
		assert.EqualValues(t, 40, large.Held())
	})
}

// Of the largest number that means no limit to some authors, half is no negative number, on which
// somebody would wait always.
func TestABudgetOfEachSize(t *testing.T) {
	for size, half := range map[int64]int64{1: 1, 2: 1, 3: 2, math.MaxInt64: 1 << 62} {
		b := New(size)
		first, second := b.Share("karen"), b.Share("KAREN")
		assert.False(t, first.Awaited(), size)
		assert.True(t, first.Try(half), size)
		assert.False(t, second.Try(1), size)
		assert.True(t, b.Share("bob").Try(size-half), size)
		assert.False(t, first.Awaited(), size)
		first.Shrink(0)
		assert.True(t, second.Try(1), size)
	}
}

// Whoever leaves while the own commands have the half has taken nothing.
func TestWhoLeavesBehindTheOwnCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(100)
		first, second := b.Share("karen"), b.Share("karen")
		require.True(t, first.Try(50))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, second.Acquire(ctx, 1), context.DeadlineExceeded)
		first.Close()
		assert.True(t, second.Try(50))
		second.Close()
		assert.True(t, b.Share("bob").Try(100))
	})
}

func TestNoBudgetIsNoLimit(t *testing.T) {
	share := New(0).Share("karen")
	assert.True(t, share.Try(math.MaxInt64))
	share.Shrink(0)
	share.Close()
}
