package copymeta

import "context"

// reserve takes room for the messages: in memory for the first ones, as far as there is some, and
// in the file for the others. It waits for room in the file only, and takes all of that at once, so
// that no two sessions wait for each other. After an error nothing is taken.
func (s *session) reserve(ctx context.Context, messages []message) (_ *spool, err error) {
	user := s.userName()
	sp := &spool{
		shared:      s.shared,
		memoryShare: s.memoryBudget.Share(user),
		fileShare:   s.fileBudget.Share(user),
	}
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
		if m.size > s.options.maxMemory()-sp.memoryRoom || !sp.memoryShare.Try(m.size) {
			break
		}
		sp.memoryRoom += m.size
		sp.held++
	}
	rest := total - sp.memoryRoom
	switch {
	case sp.fileShare.Try(rest):
		sp.fileRoom = rest
		return sp, nil
	case rest > s.options.MaxTotalBytes:
		return nil, ErrTooLarge
	case total <= s.options.MaxTotalBytes: // others may have the memory meanwhile
		sp.memoryShare.Shrink(0)
		sp.held, sp.memoryRoom, rest = 0, 0, total
	}
	if err := s.wait(ctx, ErrBusy, func(ctx context.Context) error {
		return sp.fileShare.Acquire(ctx, rest)
	}); err != nil {
		return nil, err
	}
	sp.fileRoom = rest
	return sp, nil
}
