package admission

import (
	"sync"
	"sync/atomic"
)

// Keys are the keys that somebody holds. The zero Keys is empty. It is safe for concurrent use.
type Keys struct {
	mu   sync.Mutex
	keys Table[string, *Key]
}

// A Key is what callers are counted by at a [Gate], such as a user: callers of one key share its
// limit. Whoever asks a gate holds the key, so that a slot costs no search in a map.
type Key struct {
	name    string
	keys    *Keys
	holders atomic.Int64
	at      [gatesOfKeys]atGate
}

// gatesOfKeys is how many gates can share the same Keys.
const gatesOfKeys = 5

// Hold returns the key of the name. The caller must call Release.
func (k *Keys) Hold(name string) *Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := k.keys.Get(name)
	if key == nil {
		key = &Key{name: name, keys: k}
		k.keys.Set(name, key)
	}
	key.holders.Add(1)
	return key
}

// hold makes one more caller a holder, while another one is.
func (key *Key) hold() { key.holders.Add(1) }

// Release ends the hold. It must come after the last Release of a ticket. It does nothing for nil.
func (key *Key) Release() {
	if key == nil || key.holders.Add(-1) > 0 {
		return
	}
	k := key.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	if key.holders.Load() == 0 && k.keys.Get(key.name) == key {
		k.keys.Delete(key.name)
	}
}

// Len returns how many keys are held.
func (k *Keys) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys.Len()
}
