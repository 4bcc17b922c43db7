package limits

import (
	"net/netip"
	"sync"

	"github.com/emersion/go-imap/v2"
)

// counter counts connections, all together and by network. A semaphore would do if its size could change.
type counter struct {
	mu            sync.Mutex
	max, maxPerIP int // 0: no limit
	total         int
	ips           table[netip.Prefix, int]
}

func (c *counter) setLimits(max, maxPerIP int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.max, c.maxPerIP = max, maxPerIP
}

// acquire counts a connection from ip, the zero Prefix if that has no limit, and returns what takes it off again. If it is refused
// nothing was counted.
func (c *counter) acquire(ip netip.Prefix) (release func(), refusal *imap.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.maxPerIP > 0 && ip.IsValid() && c.ips.get(ip) >= c.maxPerIP {
		return nil, ErrTooManyIPConnections
	}
	if c.max > 0 && c.total >= c.max {
		return nil, ErrTooManyConnections
	}
	c.total++
	addTo(&c.ips, ip, 1)
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.total--
		addTo(&c.ips, ip, -1)
	}), nil
}

// addTo changes the count of a key by n. The zero key is not counted, and at zero the entry is deleted.
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

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}
