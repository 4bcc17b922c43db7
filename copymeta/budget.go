package copymeta

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// budget is what the spools of all sessions may take together.
type budget struct {
	memory *semaphore.Weighted // bytes; nil: no limit
	files  *files
}

func newBudget(o *Options) budget {
	b := budget{files: newFiles(o.MaxTotalBytes)}
	if o.MaxTotalMemory > 0 {
		b.memory = semaphore.NewWeighted(o.MaxTotalMemory)
	}
	return b
}

// try takes n bytes if they can be had at once. Nobody has to wait for 0 bytes.
func try(s *semaphore.Weighted, n int64) bool { return s == nil || n == 0 || s.TryAcquire(n) }

func release(s *semaphore.Weighted, n int64) {
	if s != nil && n > 0 {
		s.Release(n)
	}
}

// reserve takes room for the messages: in memory for the first ones, as far as there is some, and
// in the file for the others. It waits for room in the file only, and takes all of that at once, so
// that no two sessions wait for each other. After an error nothing is taken.
func (s *session) reserve(ctx context.Context, messages []message) (_ *spool, err error) {
	sp := &spool{shared: s.shared, share: s.budget.files.share(s.user)}
	defer func() {
		if err != nil {
			sp.close()
		}
	}()
	total := int64(0)
	for _, m := range messages {
		if m.size > s.options.maxBytes()-total {
			return nil, ErrTooLarge
		}
		total += m.size
	}
	for _, m := range messages {
		if m.size > s.options.maxMemory()-sp.memoryRoom || !try(s.budget.memory, m.size) {
			break
		}
		sp.memoryRoom += m.size
		sp.held++
	}
	rest := total - sp.memoryRoom
	switch {
	case sp.share.try(rest):
		sp.fileRoom = rest
		return sp, nil
	case rest > s.options.MaxTotalBytes:
		return nil, ErrTooLarge
	case total <= s.options.MaxTotalBytes: // others may have the memory meanwhile
		sp.releaseMemory()
		rest = total
	}
	if err := s.wait(ctx, ErrBusy, func(ctx context.Context) error {
		return sp.share.acquire(ctx, rest)
	}); err != nil {
		return nil, err
	}
	sp.fileRoom = rest
	return sp, nil
}
