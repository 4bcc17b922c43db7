package redislimits_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/limits/redislimits"
)

func TestValidateNamesTheFieldAndTheValue(t *testing.T) {
	o := options("127.0.0.1:1")
	for _, test := range []struct {
		change func()
		want   string
	}{
		{
			func() { o.Client.InitAddress = nil },
			"Client.InitAddress is empty: it must be an address of Redis",
		},
		{func() { o.Prefix = "" }, `Prefix is "": it must be some text without braces`},
		{func() { o.Prefix = "{a}" }, `Prefix is "{a}": it must be some text without braces`},
		{func() { o.Node = "a b" }, `Node is "a b": it must have no spaces`},
		{func() { o.Lease = 0 }, "Lease is 0s: it must be at least 100ms"},
		{func() { o.Timeout = -1 }, "Timeout is -1ns: it must be more than 0"},
		{
			func() { o.Secret = []byte("short") },
			"Secret has 5 bytes: it must have none or at least 16",
		},
	} {
		o = options("127.0.0.1:1")
		test.change()
		_, err := redislimits.New(o)
		assert.EqualError(t, err, "redislimits: "+test.want)
	}
	assert.Error(t, redislimits.DefaultOptions().Validate(), "no address")
	_, err := redislimits.New(nil)
	assert.Error(t, err)
}

// memory returns options for a Redis in memory, which has no RESP3 for subscribers.
func memory(m *miniredis.Miniredis) *redislimits.Options {
	o := options(m.Addr())
	o.Client.AlwaysRESP2 = true
	return o
}

// twoNodes returns two nodes of one Redis in memory.
func twoNodes(t *testing.T) (_ *miniredis.Miniredis, one, two *redislimits.Cluster) {
	m := miniredis.RunT(t)
	return m, newNode(t, memory(m)), newNode(t, memory(m))
}

func TestALimitOfAUserHoldsOverNodes(t *testing.T) {
	_, one, two := twoNodes(t)
	first := admit(t, one, login("karen", 2))
	admit(t, two, login("karen", 2))
	refuse(t, one, login("karen", 2), limits.ErrTooManyUserLogins)
	refuse(t, two, login("karen", 2), limits.ErrTooManyUserLogins)
	admit(t, two, login("bob", 2))
	admit(t, two, login("karen", 3))

	first.Release()
	first.Release()
	eventually(t, "a place is free again", func() bool {
		lease, err := two.Acquire(login("karen", 3))
		return err == nil && lease != nil
	})
	refuse(t, one, login("karen", 3), limits.ErrTooManyUserLogins)
}

func TestALimitOfANetworkHoldsOverNodes(t *testing.T) {
	_, one, two := twoNodes(t)
	from := func(user, network string) limits.ClusterLogin {
		l := login(user, 5)
		l.Network, l.MaxLoginsPerIP = netip.MustParsePrefix(network), 2
		return l
	}
	admit(t, one, from("karen", "2001:db8::/64"))
	admit(t, two, from("bob", "2001:db8::/64"))
	refuse(t, one, from("eve", "2001:db8::/64"), limits.ErrTooManyIPLogins)
	admit(t, one, from("eve", "2001:db8:0:1::/64"))
	unknown := from("", "2001:db8::/64")
	refuse(t, one, unknown, limits.ErrTooManyIPLogins)
}

// A login that is refused because of one limit must not count for the other.
func TestARefusedLoginCountsNowhere(t *testing.T) {
	m, one, _ := twoNodes(t)
	l := login("karen", 1)
	l.MaxLoginsPerIP = 5
	admit(t, one, l)
	for range 5 {
		l := login("karen", 1)
		l.MaxLoginsPerIP = 5
		refuse(t, one, l, limits.ErrTooManyUserLogins)
	}
	members, err := m.ZMembers("{imapgate}net:=192.0.2.1/32")
	require.NoError(t, err)
	assert.Len(t, members, 1)
}

func TestWhoHasNoLimitDoesNotWaitAndCounts(t *testing.T) {
	for name, change := range map[string]func(*limits.ClusterLogin){
		"no limit": func(l *limits.ClusterLogin) { l.MaxLoginsPerUser = 0 },
		"exempt":   func(l *limits.ClusterLogin) { l.Exempt = true },
	} {
		t.Run(name, func(t *testing.T) {
			m, one, two := twoNodes(t)
			counted := func() int {
				members, _ := m.ZMembers("{imapgate}user:=karen")
				return len(members)
			}
			l := login("karen", 1)
			change(&l)
			admit(t, one, l)
			lease := admit(t, one, l)
			eventually(t, "they count for others", func() bool { return counted() == 2 })
			refuse(t, two, login("karen", 2), limits.ErrTooManyUserLogins)
			lease.Release()
			eventually(t, "they give their places back", func() bool { return counted() == 1 })
			admit(t, two, login("karen", 2))
		})
	}
}

func TestADryRunIsCountedAndTold(t *testing.T) {
	_, one, two := twoNodes(t)
	admit(t, one, login("karen", 1))
	l := login("karen", 1)
	l.DryRun = true
	lease, err := two.Acquire(l)
	assert.ErrorIs(t, err, limits.ErrTooManyUserLogins)
	require.NotNil(t, lease)
	refuse(t, one, login("karen", 2), limits.ErrTooManyUserLogins)
}

func TestWhatIsReplacedIsGivenBackInTheSameStep(t *testing.T) {
	_, one, two := twoNodes(t)
	older := admit(t, one, login("karen", 1))
	for range 20 {
		l := login("karen", 1)
		l.Replaces = []limits.ClusterLease{older}
		older = admit(t, one, l)
		refuse(t, two, login("karen", 1), limits.ErrTooManyUserLogins)
	}
	assert.Equal(t, 1, one.Stats().Leases)
}

func TestManyLoginsOnManyPages(t *testing.T) {
	r := startRedis(t)
	one, two := newNode(t, options(r.address())), newNode(t, options(r.address()))
	var all sync.WaitGroup
	leases := make(chan limits.ClusterLease, 1200)
	for range 4 {
		all.Go(func() {
			for range 300 {
				lease, err := one.Acquire(login("karen", 1200))
				if assert.NoError(t, err) {
					leases <- lease
				}
			}
		})
	}
	all.Wait()
	refuse(t, two, login("karen", 1200), limits.ErrTooManyUserLogins)
	assert.Equal(t, 1200, one.Stats().Leases)
	sessions, err := two.Sessions(t.Context())
	require.NoError(t, err)
	assert.Len(t, sessions, 1200)
	close(leases)
	for lease := range leases {
		lease.Release()
	}
	assert.Zero(t, one.Stats().Leases)
	client := r.client()
	eventually(t, "nothing is left but the list of pages", func() bool {
		n, err := client.Do(t.Context(), client.B().Dbsize().Build()).AsInt64()
		return err == nil && n == 1
	})
}

func TestSecretsHideNamesAndAddresses(t *testing.T) {
	m := miniredis.RunT(t)
	o := memory(m)
	o.Secret = []byte("0123456789abcdef")
	one, two := newNode(t, o), newNode(t, o)
	admit(t, one, login("karen", 2))
	admit(t, two, login("karen", 2))
	refuse(t, one, login("karen", 2), limits.ErrTooManyUserLogins)
	sessions, err := two.Sessions(t.Context())
	require.NoError(t, err)
	require.Len(t, sessions, 2)
	assert.Equal(t, "karen", sessions[0].User)
	assert.Equal(t, "192.0.2.1:50000", sessions[0].Addr.String())
	dump := m.Dump()
	assert.NotContains(t, dump, "karen")
	assert.NotContains(t, dump, "192.0.2.1")

	o.Secret = []byte("another secret that is o long")
	_, err = newNode(t, o).Sessions(t.Context())
	assert.EqualError(t, err, "redislimits: a value does not fit Options.Secret")
}

func TestLongNamesMakeShortKeys(t *testing.T) {
	m, one, two := twoNodes(t)
	long := strings.Repeat("karen", 10_000)
	admit(t, one, login(long, 1))
	refuse(t, two, login(long, 1), limits.ErrTooManyUserLogins)
	admit(t, two, login(long+"x", 1))
	for _, key := range m.Keys() {
		assert.Less(t, len(key), 150)
	}
}

func TestOtherPrefixesAreOtherClusters(t *testing.T) {
	m, one, _ := twoNodes(t)
	o := memory(m)
	o.Prefix = "other"
	other := newNode(t, o)
	admit(t, one, login("karen", 1))
	admit(t, other, login("karen", 1))
	refuse(t, one, login("karen", 1), limits.ErrTooManyUserLogins)
	for _, key := range m.Keys() {
		assert.Regexp(t, `^\{(imapgate|other)\}`, key)
	}
}

func TestCloseGivesAllBack(t *testing.T) {
	r := startRedis(t)
	one, two := newNode(t, options(r.address())), newNode(t, options(r.address()))
	for range 600 {
		admit(t, one, login("karen", 600))
	}
	refuse(t, two, login("karen", 600), limits.ErrTooManyUserLogins)
	require.NoError(t, one.Close())
	require.NoError(t, one.Close())
	admit(t, two, login("karen", 1))
	lease, err := one.Acquire(login("karen", 1))
	assert.Error(t, err)
	assert.NotErrorIs(t, err, limits.ErrTooManyUserLogins)
	require.NotNil(t, lease)
	lease.Release()
}

// The first login of a process may come before the connection is ready: it waits for it.
func TestTheFirstLoginWaitsForTheConnection(t *testing.T) {
	m := miniredis.RunT(t)
	admit(t, newNode(t, memory(m)), login("karen", 1))
	refuse(t, newNode(t, memory(m)), login("karen", 1), limits.ErrTooManyUserLogins)
}

func TestLeasesEndByTheTimeOfRedis(t *testing.T) {
	m, one, two := twoNodes(t)
	start := time.Now()
	m.SetTime(start)
	admit(t, one, login("karen", 1))
	m.SetTime(start.Add(30_001 * time.Millisecond)) // before the node has renewed it
	admit(t, two, login("karen", 1))
}
