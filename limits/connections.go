package limits

import (
	"net/netip"
	"sync"

	"github.com/emersion/go-imap/v2"
)

// counter counts connections, all together and by network. A semaphore would do if its size could
// change.
type counter struct {
	mu    sync.Mutex
	total int
	ips   table[netip.Prefix, int]
}

// acquire counts a connection of the client, and returns what takes it off again. If there is a
// refusal it is not counted, except under DryRun.
func (n *counter) acquire(c *client) (release func(), refusal *imap.Error) {
	settings, limits := c.limiter.settings.Load(), c.limits.Load()
	n.mu.Lock()
	defer n.mu.Unlock()
	if max := limits.MaxConnectionsPerIP; max > 0 && c.ip.IsValid() && n.ips.get(c.ip) >= max {
		refusal = ErrTooManyIPConnections
	} else if max := settings.MaxConnections; max > 0 && n.total >= max && !limits.exempt {
		refusal = ErrTooManyConnections
	}
	if refusal != nil && !settings.DryRun {
		return nil, refusal
	}
	ip := c.ip
	n.total++
	addTo(&n.ips, ip, 1)
	return sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.total--
		addTo(&n.ips, ip, -1)
	}), refusal
}

// addTo changes the count of a key by n. The zero key is not counted, and at zero the entry is
// deleted.
func addTo[K comparable](counts *table[K, int], key K, n int) {
	var none K
	if key == none {
		return
	}
	if count := counts.get(key) + n; count != 0 {
		counts.set(key, count)
	} else {
		counts.delete(key)
	}
}

func (n *counter) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.total
}
