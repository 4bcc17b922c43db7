// Package budget shares a fixed number of bytes among the commands of all users, so that no user
// can have everything.
package budget

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/imapgate/imapgate/internal/fold"
)

// A Budget is a number of bytes. The commands of one user have no more than half of it together,
// unless a single one needs more. So others find room, however much one user takes. Nil has no
// limit. It is safe for concurrent use.
type Budget struct {
	half int64
	all  *semaphore.Weighted

	mu    sync.Mutex
	users map[string]*user // those with a share
}

type user struct {
	name   string
	half   *semaphore.Weighted
	shares int
}

// New returns nil for the size 0.
func New(size int64) *Budget {
	if size == 0 {
		return nil
	}
	return &Budget{
		half: size - size/2, all: semaphore.NewWeighted(size), users: make(map[string]*user),
	}
}

// Share returns what a command of the user has, which is nothing yet. It must be closed. A user
// without a name is nobody else. The share of a nil Budget is nil.
func (b *Budget) Share(name string) *Share {
	if b == nil {
		return nil
	}
	name = fold.Username(name)
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.users[name]
	if u == nil {
		u = &user{name: name, half: semaphore.NewWeighted(b.half)}
		if name != "" {
			b.users[name] = u
		}
	}
	u.shares++
	return &Share{budget: b, user: u}
}

// Share is what one command has of a budget. A nil share has whatever it needs. Its methods but
// Awaited are for one goroutine at a time.
type Share struct {
	budget *Budget
	user   *user
	held   int64
}

// Held returns how many bytes it has.
func (s *Share) Held() int64 { return s.held }

// ofHalf returns how much of the user's half belongs to n bytes.
func (s *Share) ofHalf(n int64) int64 { return min(n, s.budget.half) }

// Try takes n bytes if they can be had at once. Nobody has to wait for 0 bytes.
func (s *Share) Try(n int64) bool {
	if s == nil || n == 0 {
		return true
	}
	ofHalf := s.ofHalf(s.held+n) - s.ofHalf(s.held)
	if ofHalf > 0 && !s.user.half.TryAcquire(ofHalf) {
		return false
	}
	if !s.budget.all.TryAcquire(n) {
		s.user.half.Release(ofHalf)
		return false
	}
	s.held += n
	return true
}

// Acquire waits for n bytes, first come first served: behind the other commands of the user, and
// then behind those of all. It is for a share that has nothing, or else two could wait for each
// other. After an error it still has nothing.
func (s *Share) Acquire(ctx context.Context, n int64) error {
	if err := s.user.half.Acquire(ctx, s.ofHalf(n)); err != nil {
		return err
	}
	if err := s.budget.all.Acquire(ctx, n); err != nil {
		s.user.half.Release(s.ofHalf(n))
		return err
	}
	s.held = n
	return nil
}

// Awaited tells whether somebody waits for bytes that this share may have.
func (s *Share) Awaited() bool {
	return !s.budget.all.TryAcquire(0) || !s.user.half.TryAcquire(0)
}

// Shrink gives back all but n bytes.
func (s *Share) Shrink(n int64) {
	if s == nil || n >= s.held {
		return
	}
	s.user.half.Release(s.ofHalf(s.held) - s.ofHalf(n))
	s.budget.all.Release(s.held - n)
	s.held = n
}

// Close gives back everything.
func (s *Share) Close() {
	if s == nil {
		return
	}
	s.Shrink(0)
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	if s.user.shares--; s.user.shares == 0 {
		delete(s.budget.users, s.user.name)
	}
}
