package vfolders

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/imapgate/imapgate/internal/budget"
	"github.com/imapgate/imapgate/internal/socket"
)

const (
	// longestWait is how long a LIST waits for memory before it is refused.
	longestWait = 30 * time.Second
	// longestHold is how long a client may take to read its answer while others wait for memory. The
	// others wait longer, so that clients that do not read cannot keep everybody out.
	longestHold = 20 * time.Second
	// step is how many bytes are taken at once, so that not every mailbox takes its own.
	step = 16 << 10
)

// memory is what the answers of all sessions may take. Nil has no limit.
type memory struct {
	size    int64
	budget  *budget.Budget
	watcher socket.Watcher // of the clients that wait
}

func newMemory(size int64) *memory {
	if size == 0 {
		return nil
	}
	return &memory{size: size, budget: budget.New(size)}
}

// share is what one LIST has of the memory. When there is no more, the LIST gives back what it has,
// counts what it needs in all, and waits for that, so that no two LISTs wait for each other.
type share struct {
	memory   *memory
	bytes    *budget.Share
	needed   int64
	short    bool
	deadline time.Time // of the wait, zero before it
}

// share returns that of a user's LIST. It must be closed.
func (m *memory) share(user string) *share {
	if m == nil {
		return &share{}
	}
	return &share{memory: m, bytes: m.budget.Share(user)}
}

// take is called before that many more bytes are kept, and tells whether they may be. Once they may
// not, nothing that was taken before may be kept any longer.
func (s *share) take(size int64) (ok bool, err error) {
	if s.memory == nil {
		return true, nil
	}
	s.needed += size
	switch {
	case s.needed > s.memory.size:
		return false, ErrListTooLarge
	case s.short:
		return false, nil
	case s.needed <= s.bytes.Held():
		return true, nil
	}
	held := s.bytes.Held()
	if s.bytes.Try(min(max(step, s.needed-held), s.memory.size-held)) {
		return true, nil
	}
	s.bytes.Shrink(0)
	s.short = true
	return false, nil
}

// wait waits, first come first served, until there is room for what was counted and a little more.
// It returns ErrTooManyLists when it has waited for longestWait, in all calls together, or when the
// client is gone, who must not be in the way of those behind.
func (s *share) wait(client *socket.Socket) error {
	if s.deadline.IsZero() {
		s.deadline = time.Now().Add(longestWait)
	}
	ctx, cancel := context.WithDeadline(context.Background(), s.deadline)
	defer cancel()
	defer s.memory.watcher.Watch(client, cancel).Stop()
	if err := s.bytes.Acquire(ctx, min(s.needed+step, s.memory.size)); err != nil {
		return ErrTooManyLists
	}
	s.needed, s.short = 0, false
	return nil
}

// limitHold calls giveUp if somebody waits when the share has been held for longestHold, and every
// second after that, until stop is called.
func (s *share) limitHold(giveUp func()) (stop func()) {
	if s.memory == nil {
		return func() {}
	}
	var mu sync.Mutex
	var timer *time.Timer
	stopped := false
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(longestHold, func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		if s.bytes.Awaited() {
			giveUp()
		}
		timer.Reset(time.Second)
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// What things take in memory, on a machine of 64 bits.
const (
	sizeOfData   = 200 // with its attributes, and its places in the answer and in maps
	sizeOfStatus = 200
	sizeOfFolder = 120 // a virtual one, besides its entry in the answer
	sizeOfName   = 64  // of which nothing else is kept
)

// sizeOf returns how much memory it takes to keep a mailbox.
func sizeOf(data *imap.ListData) int64 {
	size := sizeOfData + len(data.Mailbox) + len(data.OldName)
	if data.Status != nil {
		size += sizeOfStatus
	}
	return int64(size)
}

// sizeOfFolders returns how much memory it takes to keep the virtual folders above a mailbox that
// are not above the mailbox that was listed before.
func (l *listing) sizeOfFolders(data *imap.ListData, before string) int64 {
	if data.Delim == 0 {
		return 0
	}
	added := strings.Count(data.Mailbox[commonLen(data.Mailbox, before):], string(data.Delim))
	size := sizeOfFolder + sizeOfData
	if l.options.ReturnStatus != nil {
		size += sizeOfStatus
	}
	return int64(min(added, maxLevels) * size)
}
