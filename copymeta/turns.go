package copymeta

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/emersion/go-imap/v2"
)

// turns give each message to one MOVE at a time, first come first served. A MOVE of several
// messages enters the queues of all of them at once, so that no two wait for each other, and begins
// when it is the first one in each.
type turns struct {
	mu     sync.Mutex
	first  map[messageKey]*turn   // who has the message
	behind map[messageKey][]*turn // who waits for it; only where somebody does
}

// moves has the turns of all Wraps: several can be around one backend, and sessions of one that was
// replaced go on.
var moves turns

// messageKey is made of what all sessions know of a message. The name and the owner of its mailbox
// are not in it: a shared mailbox has different names. If two messages have the same key, one is
// moved after the other.
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

// enter takes a place in the queue of each key. The turn must be left, ready or not.
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

// leave gives up the places in all queues. It takes the lock for some of them at a time: there may
// be a million.
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

// takeTurn waits until no other MOVE has any of the messages. Leave gives them up. After an error
// there is nothing to give up.
func (s *session) takeTurn(
	ctx context.Context, messages []message,
) (waited bool, leave func(), err error) {
	keys := make([]messageKey, len(messages))
	for i := range messages {
		keys[i] = s.messageKey(&messages[i])
	}
	own := moves.enter(keys)
	leave = func() { moves.leave(own) }
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
