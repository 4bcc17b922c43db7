package copymeta

import (
	"context"
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
		f := newFiles(100)
		other, karen := f.share("bob"), f.share("karen")
		require.NoError(t, other.acquire(t.Context(), 80))
		assert.False(t, f.share("").try(21))
		for range 3 {
			s := f.share("KAREN")
			assert.False(t, s.try(21))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			assert.Error(t, s.acquire(ctx, 40))
			cancel()
			assert.True(t, s.try(20))
			assert.True(t, s.try(0))
			s.close()
			assert.Len(t, f.users, 2)
		}
		karen.close()
		assert.Len(t, f.users, 1)
		other.close()
		assert.Empty(t, f.users)
		assert.True(t, f.all.TryAcquire(100))
	})
}
