package idle

import (
	"sync"

	"github.com/imapgate/imapgate/internal/fold"
)

// users counts the sessions in IDLE of each user.
type users struct {
	limit int // zero: none
	mu    sync.Mutex
	count map[string]int // without entries that are zero
}

func newUsers(limit int) *users { return &users{limit: limit, count: make(map[string]int)} }

// acquire takes a place of the user. It returns what gives it back, or nil if there is none.
func (u *users) acquire(user string) (release func()) {
	if u.limit == 0 {
		return func() {}
	}
	user = fold.Username(user)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.count[user] >= u.limit {
		return nil
	}
	u.count[user]++
	return sync.OnceFunc(func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.count[user]--; u.count[user] == 0 {
			delete(u.count, user)
		}
	})
}
