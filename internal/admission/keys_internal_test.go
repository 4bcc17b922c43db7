package admission

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The last holder counts itself out without the lock, and drops the key with it. Others can come
// and go in between.
func TestWhatHappensWhileTheLastHolderLeaves(t *testing.T) {
	for name, meanwhile := range map[string]func(keys *Keys, key *Key) (left *Key){
		"nothing": func(*Keys, *Key) *Key { return nil },
		"another one holds it": func(_ *Keys, key *Key) *Key {
			key.hold()
			return key
		},
		"another one has dropped it, and somebody holds a new one": func(keys *Keys, key *Key) *Key {
			fresh := &Key{name: key.name, keys: keys}
			fresh.hold()
			keys.keys.Set(key.name, fresh)
			return fresh
		},
	} {
		t.Run(name, func(t *testing.T) {
			var keys Keys
			key := keys.Hold("karen")
			keys.mu.Lock()
			var leaving sync.WaitGroup
			leaving.Go(key.Release)
			for key.holders.Load() > 0 {
				runtime.Gosched()
			}
			left := meanwhile(&keys, key)
			keys.mu.Unlock()
			leaving.Wait()
			assert.Same(t, left, keys.keys.Get("karen"))
			left.Release()
			assert.Zero(t, keys.Len())
		})
	}
}
