package differential_test

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// tree holds the mailboxes of a user, whether the user is subscribed to them, and which names the
// user has seen to be a mailbox's.
type tree struct {
	mu        sync.Mutex
	mailboxes map[string]bool
	seen      map[string]bool
}

func newTree(names []string) *tree {
	t := &tree{mailboxes: make(map[string]bool), seen: make(map[string]bool)}
	for _, name := range names {
		t.mailboxes[name] = false
	}
	return t
}

// change notes the effect of a command that has returned err. It has none if err is not nil.
func (t *tree) change(err error, how func(map[string]bool)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		how(t.mailboxes)
	}
	return err
}

func (t *tree) names() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.mailboxes))
}

func (t *tree) subscribed(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mailboxes[name]
}

// see notes a mailbox that a command without an error was about.
func (t *tree) see(name string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.seen[name] = true
	}
}

func (t *tree) hasSeen(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[name]
}

// hasChildren reports whether there is a mailbox below the name.
func (t *tree) hasChildren(name string) bool {
	return slices.ContainsFunc(t.names(), func(mailbox string) bool {
		return slices.Contains(parents(mailbox), name)
	})
}

// hides reports whether a mailbox below the name is subscribed and not shown.
func (t *tree) hides(name string, shown func(string) bool) bool {
	return slices.ContainsFunc(t.names(), func(mailbox string) bool {
		return t.subscribed(mailbox) && !shown(mailbox) && slices.Contains(parents(mailbox), name)
	})
}

// virtual returns the parents of mailboxes that are not mailboxes themselves.
func (t *tree) virtual() map[string]bool {
	folders := make(map[string]bool)
	for _, name := range t.names() {
		for _, parent := range parents(name) {
			folders[parent] = true
		}
	}
	for _, name := range t.names() {
		delete(folders, name)
	}
	return folders
}

// parents returns the names above a mailbox that can be folders, from the top down.
func parents(name string) []string {
	var above []string
	levels := strings.Split(name, "/")
	for i := 1; i < len(levels) && i <= 20; i++ {
		parent := strings.Join(levels[:i], "/")
		if levels[i-1] == "" || strings.ContainsAny(parent, "\x00\r\n\uFFFD") ||
			strings.EqualFold(parent, "INBOX") {
			continue
		}
		above = append(above, parent)
	}
	return above
}
