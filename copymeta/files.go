package copymeta

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/imapgate/imapgate/internal/fold"
)

// files are the bytes that the temporary files of all sessions may have together. The COPYs of one
// user have no more than half of them, unless a single one needs more. So others find room, however
// much one user copies. Nil files have no limit.
type files struct {
	half int64
	all  *semaphore.Weighted

	mu    sync.Mutex
	users map[string]*user // those with a share
}

// user is who has shares.
type user struct {
	name   string
	half   *semaphore.Weighted
	shares int
}

func newFiles(size int64) *files {
	if size == 0 {
		return nil
	}
	return &files{
		half: (size + 1) / 2, all: semaphore.NewWeighted(size), users: make(map[string]*user),
	}
}

// share returns what a COPY of the user has of the files, which is nothing yet. It must be closed.
// A user without a name is nobody else.
func (f *files) share(name string) *share {
	if f == nil {
		return nil
	}
	name = fold.Username(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.users[name]
	if u == nil {
		u = &user{name: name, half: semaphore.NewWeighted(f.half)}
		if name != "" {
			f.users[name] = u
		}
	}
	u.shares++
	return &share{files: f, user: u}
}

// share is what one COPY has. A nil share has whatever it needs.
type share struct {
	files *files
	user  *user
	held  int64
}

// ofHalf returns how much of the user's half it takes to have n bytes more.
func (s *share) ofHalf(n int64) int64 {
	return min(s.held+n, s.files.half) - min(s.held, s.files.half)
}

// try takes n bytes if they can be had at once. Nobody has to wait for 0 bytes.
func (s *share) try(n int64) bool {
	if s == nil || n == 0 {
		return true
	}
	ofHalf := s.ofHalf(n)
	if ofHalf > 0 && !s.user.half.TryAcquire(ofHalf) {
		return false
	}
	if !s.files.all.TryAcquire(n) {
		s.user.half.Release(ofHalf)
		return false
	}
	s.held += n
	return true
}

// acquire waits for n bytes, behind the user's other COPYs, and then behind those of all. It is for
// a share that has nothing, or else two could wait for each other. After an error it still has
// nothing.
func (s *share) acquire(ctx context.Context, n int64) error {
	ofHalf := s.ofHalf(n)
	if err := s.user.half.Acquire(ctx, ofHalf); err != nil {
		return err
	}
	if err := s.files.all.Acquire(ctx, n); err != nil {
		s.user.half.Release(ofHalf)
		return err
	}
	s.held = n
	return nil
}

// close gives back everything.
func (s *share) close() {
	if s == nil {
		return
	}
	s.user.half.Release(min(s.held, s.files.half))
	s.files.all.Release(s.held)
	s.files.mu.Lock()
	defer s.files.mu.Unlock()
	if s.user.shares--; s.user.shares == 0 {
		delete(s.files.users, s.user.name)
	}
}
