package vfolders

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

const (
	// historyParts is into how many parts the users are divided. A user who opens a great many
	// mailboxes makes a History forget only those of the users in the same part, and nobody knows who
	// they are.
	historyParts = 64
	// generationSize is how many names one generation of a part has at most.
	generationSize = 2048
)

// A History remembers which names have been mailboxes: see "A mailbox that goes away" above. The
// zero value remembers in memory, that of [OpenHistory] in a file too. It is for one backend, and
// for any number of Wraps around that at once. It must not be copied.
type History struct {
	hasKey sync.Once
	key    historyKey
	parts  [historyParts]historyPart
	file   *historyFile // nil: only in memory
}

// historyKey makes the hashes of a History different from those of all others.
type historyKey [32]byte

// historyPart has two generations of hashes. When the young one is full it becomes the old one, and
// what was in the old one, and has not been used since, is forgotten.
type historyPart struct {
	mu         sync.Mutex
	young, old map[uint64]struct{}
}

// accountKey returns the keyed hash of an account.
func (h *History) accountKey(a account) uint64 {
	var room [256]byte
	text := h.begin(room[:0], 'a')
	for _, part := range []string{a.chosen, a.user, a.localHost, a.serverName} {
		text = binary.BigEndian.AppendUint32(text, uint32(len(part)))
		text = append(text, part...)
	}
	return hash(text)
}

// nameKey returns the keyed hash of a name of an account. Its last bits are the number of the part,
// which a file therefore need not have.
func (h *History) nameKey(account uint64, name string) uint64 {
	var room [256]byte // enough for most names
	text := binary.BigEndian.AppendUint64(h.begin(room[:0], 'n'), account)
	sum := hash(append(text, name...))
	return sum - sum%historyParts + account%historyParts
}

// begin appends what each text of a kind begins with.
func (h *History) begin(text []byte, kind byte) []byte {
	h.hasKey.Do(h.makeKey)
	return append(append(text, h.key[:]...), kind)
}

func (h *History) makeKey() { rand.Read(h.key[:]) }

// hash is keyed by what the text begins with. A quarter of the sum is not enough to calculate that
// of a longer text from it, so HMAC, which takes several times as long, is not needed.
func hash(text []byte) uint64 {
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:])
}

// add remembers that the account has or had a mailbox of that name.
func (h *History) add(account uint64, name string) {
	key := h.nameKey(account, name)
	if h.partOf(key).add(key) {
		h.note(key)
	}
}

// has tells whether the account has or had a mailbox of that name, as far as that is remembered.
func (h *History) has(account uint64, name string) bool {
	key := h.nameKey(account, name)
	known, isNew := h.partOf(key).has(key)
	if isNew {
		h.note(key)
	}
	return known
}

func (h *History) partOf(key uint64) *historyPart { return &h.parts[key%historyParts] }

// note makes the file follow.
func (h *History) note(key uint64) {
	if h.file != nil {
		h.file.note(key)
	}
}

// add tells whether the key is new to the young generation.
func (p *historyPart) add(key uint64) (isNew bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addLocked(key)
}

// has tells whether the key is known. Then it is in the young generation, and maybe new to that.
func (p *historyPart) has(key uint64) (known, isNew bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.young[key]; ok {
		return true, false
	}
	if _, ok := p.old[key]; !ok {
		return false, false
	}
	return true, p.addLocked(key)
}

func (p *historyPart) addLocked(key uint64) (isNew bool) {
	if _, ok := p.young[key]; ok {
		return false
	}
	if len(p.young) == generationSize {
		p.young, p.old = nil, p.young
	}
	if p.young == nil {
		p.young = make(map[uint64]struct{})
	}
	p.young[key] = struct{}{}
	return true
}

// appendTo appends the keys to records, in an order in which add remembers them all again.
func (p *historyPart) appendTo(records []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range p.old {
		if _, ok := p.young[key]; !ok {
			records = binary.BigEndian.AppendUint64(records, key)
		}
	}
	for key := range p.young {
		records = binary.BigEndian.AppendUint64(records, key)
	}
	return records
}
