package copymeta

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/emersion/go-imap/v2"
)

// turns let those who want the same messages have them one after the other, first come first
// served. Who wants several waits until all are there for it, holding the place in each queue:
// since a turn enters all its queues at once, no two wait for each other.
type turns struct {
	mu     sync.Mutex
	first  map[messageKey]*turn   // who has the message
	behind map[messageKey][]*turn // who waits for it; only where somebody does
}

// messageKey stands for what two sessions know of a message that do not know how the other one
// calls its mailbox, or whose mail that is. If two messages have the same key, one is moved after
// the other.
type messageKey uint64

var seed = maphash.MakeSeed()

func (s *session) messageKey(m *message) messageKey {
	return messageKey(maphash.Comparable(seed, struct {
		uidValidity uint32
		uid         imap.UID
		size, date  int64
	}{s.uidValidity, m.uid, m.size, m.date}))
}

type turn struct {
	keys   []messageKey  // sorted, each once
	behind int           // in how many queues another one is first
	ready  chan struct{} // closed when in none
}

// enter takes a place in the queues of the keys. It must be left, whether it has become ready or
// not.
func (t *turns) enter(keys []messageKey) *turn {
	slices.Sort(keys)
	own := &turn{keys: slices.Compact(keys), ready: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == nil {
		t.first, t.behind = make(map[messageKey]*turn), make(map[messageKey][]*turn)
	}
	for _, key := range own.keys {
		if t.first[key] == nil {
			t.first[key] = own
			continue
		}
		t.behind[key] = append(t.behind[key], own)
		own.behind++
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
		queue := t.behind[key]
		switch {
		case t.first[key] != own:
			t.setBehind(key, slices.DeleteFunc(queue, func(other *turn) bool { return other == own }))
		case len(queue) == 0:
			delete(t.first, key)
		default:
			next := queue[0]
			t.first[key] = next
			t.setBehind(key, queue[1:])
			if next.behind--; next.behind == 0 {
				close(next.ready)
			}
		}
	}
	if len(t.first) == 0 {
		t.first, t.behind = nil, nil // a map keeps its largest size
	}
}

func (t *turns) setBehind(key messageKey, queue []*turn) {
	if len(queue) == 0 {
		delete(t.behind, key)
	} else {
		t.behind[key] = queue
	}
}

// takeTurn waits until no other MOVE has any of the messages. The function gives them back. If that
// fails, nothing is held.
func (s *session) takeTurn(
	ctx context.Context, messages []message,
) (waited bool, leave func(), err error) {
	keys := make([]messageKey, len(messages))
	for i := range messages {
		keys[i] = s.messageKey(&messages[i])
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
