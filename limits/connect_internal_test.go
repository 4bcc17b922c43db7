package limits

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A connection has read the options when SetOptions replaces them. It counts by the new ones, once.
func TestAConnectionIsCountedByTheOptionsInForce(t *testing.T) {
	for name, options := range map[string]*Options{
		"all":         {MaxConnections: 1},
		"one address": {MaxConnectionsPerIP: 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := New(&Options{})
			c := &client{limiter: l, addr: netip.MustParseAddr("192.0.2.1")}
			c.ip = network(c.addr)
			old := l.settings.Load()
			c.identity.Store(&identity{})
			require.NoError(t, c.refreshLimits())
			require.NoError(t, l.SetOptions(options))
			release, r, err := c.count(old)
			require.NoError(t, err)
			assert.Nil(t, r.limit)
			assert.Equal(t, 1, l.connections.Count(), "counted once")
			_, r, err = c.count(old)
			require.NoError(t, err)
			require.NotNil(t, r.limit)
			assert.EqualValues(t, 1, r.value)
			release()
			assert.Zero(t, l.connections.Count())

			broken := *options
			broken.LimitsFor = func(Client) ClientLimits { return ClientLimits{MaxFetchesPerUser: -1} }
			require.NoError(t, l.SetOptions(&broken))
			_, _, err = c.count(old)
			assert.Error(t, err)
			assert.Zero(t, l.connections.Count(), "nothing is counted after an error")
		})
	}
}
