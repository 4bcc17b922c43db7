package copymeta

import (
	"context"
	"slices"
	"sync"

	"github.com/emersion/go-imap/v2"
)

// turns let those who want the same messages have them one after the other, first come first
// served. Who wants several waits until all are there for it, holding the place in each queue:
// since a turn enters all its queues at once, no two wait for each other.
type turns struct {
	mu     sync.Mutex
	queues map[messageKey][]*turn // the first has the message
}

// messageKey is what two sessions know of a message that do not know how the other one calls its
// mailbox, or whose mail that is. If two messages have the same key, one is moved after the other.
type messageKey struct {
	uidValidity uint32
	uid         imap.UID
	size, date  int64
}

type turn struct {
	keys   []messageKey
	behind int           // in how many queues another one is first
	ready  chan struct{} // closed when in none
}

// enter takes a place in the queues of the keys, which must differ. It must be left, whether it has
// become ready or not.
func (t *turns) enter(keys []messageKey) *turn {
	own := &turn{keys: keys, ready: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.queues == nil {
		t.queues = make(map[messageKey][]*turn)
	}
	for _, key := range keys {
		queue := t.queues[key]
		if len(queue) > 0 {
			own.behind++
		}
		t.queues[key] = append(queue, own)
	}
	if own.behind == 0 {
		close(own.ready)
	}
	return own
}

// leave gives up the places in all queues, some at a time: there may be a million of them, and
// others want the lock.
func (t *turns) leave(own *turn) {
	for keys := range slices.Chunk(own.keys, 1000) {
		t.leaveSome(own, keys)
	}
}

func (t *turns) leaveSome(own *turn, keys []messageKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range keys {
		queue := t.queues[key]
		if len(queue) == 1 {
			delete(t.queues, key)
			continue
		}
		if queue[0] == own {
			next := queue[1]
			if next.behind--; next.behind == 0 {
				close(next.ready)
			}
		}
		i := slices.Index(queue, own)
		t.queues[key] = slices.Delete(queue, i, i+1)
	}
	if len(t.queues) == 0 {
		t.queues = nil // a map keeps its largest size
	}
}

// takeTurn waits until no other MOVE has any of the messages. The function gives them back. If that
// fails, nothing is held.
func (s *session) takeTurn(
	ctx context.Context, messages []message,
) (waited bool, leave func(), err error) {
	keys := make([]messageKey, len(messages))
	for i, m := range messages {
		keys[i] = messageKey{s.uidValidity, m.uid, m.size, m.date}
	}
	own := s.turns.enter(keys)
	leave = func() { s.turns.leave(own) }
	select {
	case <-own.ready:
		return false, leave, nil
	default:
	}
	err = s.wait(ctx, ErrInUse, func(ctx context.Context) error {
		select {
		case <-own.ready:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err != nil {
		leave()
		return true, nil, err
	}
	return true, leave, nil
}
