package vfolders

import (
	"hash/maphash"
	"sync"
)

const (
	// seenParts is into how many parts the users are divided. A user who opens a great many mailboxes
	// makes seen forget only those of the users in the same part, and nobody knows who they are.
	seenParts = 64
	// seenMost is how many names one generation of a part has at most.
	seenMost = 2048
)

// seen remembers which names have been mailboxes, for each account. It keeps keyed hashes of at
// most 256 K names, which take 8 MB. The least recently used go first.
type seen struct {
	seed  maphash.Seed
	parts [seenParts]seenPart
}

// seenPart has two generations. When the young one is full it becomes the old one, and what was in
// the old one, and has not been used since, is forgotten.
type seenPart struct {
	mu         sync.Mutex
	young, old map[uint64]struct{}
}

func newSeen() *seen { return &seen{seed: maphash.MakeSeed()} }

// seenKey returns the keyed hash of an account or of one of its names.
func seenKey[T comparable](s *seen, of T) uint64 { return maphash.Comparable(s.seed, of) }

// nameKey is a name of an account.
type nameKey struct {
	account uint64
	name    string
}

// add remembers that the account has or had a mailbox of that name.
func (s *seen) add(account uint64, name string) {
	key, part := seenKey(s, nameKey{account, name}), &s.parts[account%seenParts]
	part.mu.Lock()
	defer part.mu.Unlock()
	part.add(key)
}

// has tells whether the account has or had a mailbox of that name, as far as that is remembered.
func (s *seen) has(account uint64, name string) bool {
	key, part := seenKey(s, nameKey{account, name}), &s.parts[account%seenParts]
	part.mu.Lock()
	defer part.mu.Unlock()
	if _, ok := part.young[key]; ok {
		return true
	}
	_, ok := part.old[key]
	if ok {
		part.add(key)
	}
	return ok
}

func (p *seenPart) add(key uint64) {
	if _, ok := p.young[key]; ok {
		return
	}
	if len(p.young) == seenMost {
		p.young, p.old = nil, p.young
	}
	if p.young == nil {
		p.young = make(map[uint64]struct{})
	}
	p.young[key] = struct{}{}
}
