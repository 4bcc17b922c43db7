package redislimits_test

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/limits/redislimits"
)

// do sends a command to Redis.
func do(t *testing.T, client rueidis.Client, args ...string) rueidis.RedisResult {
	t.Helper()
	command := client.B().Arbitrary(args[0]).Args(args[1:]...).Build()
	result := client.Do(t.Context(), command)
	require.NoError(t, result.Error())
	return result
}

// A session that has ended must not take the place of the next one of its user.
func TestASessionThatEndsMakesRoomAtOnce(t *testing.T) {
	r := startRedis(t)
	c := newNode(t, options(r.address()))
	byNetwork := login("bob", 0)
	byNetwork.MaxLoginsPerIP = 2
	for range 300 {
		admit(t, c, login("karen", 1)).Release()
		admit(t, c, byNetwork).Release()
	}
	client := r.client()
	eventually(t, "nothing is left", func() bool { return count(t, client, "karen") == 0 })
}

// Many logins at once do not make one page that is too large for a script.
func TestAStormOfLoginsMakesManyPages(t *testing.T) {
	r := startRedis(t)
	c := newNode(t, options(r.address()))
	admit(t, c, login("karen", 1000))
	client := r.client()
	do(t, client, "CLIENT", "PAUSE", "300", "WRITE") // so that all wait together
	var all sync.WaitGroup
	for range 300 {
		all.Go(func() {
			_, err := c.Acquire(login("karen", 1000))
			assert.NoError(t, err)
		})
	}
	all.Wait()
	pages, err := do(t, client, "KEYS", "{imapgate}page:*").AsStrSlice()
	require.NoError(t, err)
	var sessions int64
	for _, page := range pages {
		n, err := do(t, client, "HLEN", page).AsInt64()
		require.NoError(t, err)
		assert.LessOrEqual(t, n, int64(64))
		sessions += n
	}
	assert.EqualValues(t, 301, sessions)
}

// A Redis whose memory is full still counts, and only does not share wrong passwords. As these are
// a stranger's, they must not open the breaker.
func TestARedisWhoseMemoryIsFull(t *testing.T) {
	r := startRedis(t)
	o := short(r.address())
	logger := newLogged()
	o.Logger = logger
	one, two := newNode(t, o), newNode(t, o)
	admit(t, one, login("karen", 2))
	client := r.client()
	do(t, client, "CONFIG", "SET", "maxmemory", "1")
	admit(t, two, login("karen", 2))
	one.Guessed(netip.MustParsePrefix("192.0.2.1/32"), 1)
	eventually(t, "it is counted", func() bool { return one.Stats().Errors > 0 })
	refuse(t, one, login("karen", 2), limits.ErrTooManyUserLogins)
	do(t, client, "DEL", "{imapgate}user:=karen")
	eventually(t, "both are renewed", func() bool { return count(t, client, "karen") == 2 })
	for _, line := range logger.all() {
		assert.NotContains(t, line, "count logins: OOM")
	}
}

func TestARedisThatForgetsItsScripts(t *testing.T) {
	r := startRedis(t)
	o := short(r.address())
	logger := newLogged()
	o.Logger = logger
	c := newNode(t, o)
	client := r.client()
	network := netip.MustParsePrefix("192.0.2.1/32")
	for i := range 20 {
		do(t, client, "SCRIPT", "FLUSH")
		admit(t, c, login("karen", 20))
		do(t, client, "SCRIPT", "FLUSH")
		assert.Equal(t, i > 0, c.Turn(network, time.Minute) > 0)
	}
	do(t, client, "SCRIPT", "FLUSH")
	do(t, client, "DEL", "{imapgate}user:=karen")
	eventually(t, "all are renewed", func() bool { return count(t, client, "karen") == 20 })
	for _, line := range logger.all() {
		assert.NotContains(t, line, "NOSCRIPT")
	}
}

// After a failover behind one address, the old connection leads to a replica.
func TestAFailoverBehindOneAddress(t *testing.T) {
	old, promoted := startRedis(t), startRedis(t)
	p := newProxy(t, old.address())
	c := newNode(t, options(p.Addr().String()))
	lease := admit(t, c, login("karen", 2))
	p.forward(promoted.address())
	do(t, old.client(), "REPLICAOF", "127.0.0.1", fmt.Sprint(promoted.port))
	undecided, err := c.Acquire(login("karen", 2))
	assert.ErrorContains(t, err, "READONLY")
	eventually(t, "it has found the other one", func() bool { return !c.Stats().Down })
	client := promoted.client()
	eventually(t, "it is counted there", func() bool { return count(t, client, "karen") > 0 })
	lease.Release()
	undecided.Release()
	eventually(t, "it is given back", func() bool { return count(t, client, "karen") == 0 })
}

// Keys of another type, which a neighbour has written, are replaced. They do no harm to others.
func TestKeysOfAnotherTypeAreReplaced(t *testing.T) {
	r := startRedis(t)
	o := options(r.address())
	logger := newLogged()
	o.Node, o.Lease, o.Logger = "mx1", 2*time.Second, logger
	c := newNode(t, o)
	bob := admit(t, c, login("bob", 1))
	client := r.client()
	keys := func() []string {
		all, err := do(t, client, "KEYS", "*").AsStrSlice()
		require.NoError(t, err)
		return all
	}
	all := hear(c)
	listening(t, c, all)
	network := netip.MustParsePrefix("203.0.113.1/32")
	for range 2 {
		eventually(t, "user, network, page, pages, guesses", func() bool {
			c.Guessed(network, 3)
			return len(keys()) == 5
		})
		for _, key := range keys() {
			do(t, client, "SET", key, "garbage")
		}
		karen := admit(t, c, login("karen", 1))
		eventually(t, "bob is counted again", func() bool { return count(t, client, "bob") == 1 })
		eventually(t, "karen is counted", func() bool { return count(t, client, "karen") == 1 })
		eventually(t, "both are seen", func() bool {
			sessions, err := c.Sessions(t.Context())
			return err == nil && len(sessions) == 2
		})
		do(t, client, "SET", "{imapgate}user:=karen", "garbage")
		karen.Release()
		eventually(t, "it is given back", func() bool {
			sessions, err := c.Sessions(t.Context())
			return err == nil && len(sessions) == 1
		})
		do(t, client, "DEL", "{imapgate}user:=karen")
		<-c.Connected(network) // cannot be answered
		c.Guessed(network, 1)  // deletes the key
		c.Guessed(network, 2)
		for next(t, all).guess != 2 {
		}
	}
	bob.Release()
	do(t, client, "SET", "{imapgate}turn:=203.0.113.1/32", "garbage")
	assert.Zero(t, c.Turn(network, time.Minute), "a turn must have an end")
	assert.NotZero(t, c.Turn(network, time.Minute))
	for _, line := range logger.all() {
		assert.NotContains(t, line, "WRONGTYPE")
	}
}

// What a neighbour writes into the right types, and sends, is not shown and not obeyed.
func TestGarbageIsIgnored(t *testing.T) {
	for _, secret := range []string{"", "0123456789abcdef"} {
		r := startRedis(t)
		o := options(r.address())
		o.Node, o.Secret = "mx1", []byte(secret)
		c := newNode(t, o)
		l := login("karen", 5)
		l.Disconnect = func(string) { assert.Fail(t, "it must stay") }
		admit(t, c, l)
		client := r.client()
		pages, err := do(t, client, "KEYS", "{imapgate}page:*").AsStrSlice()
		require.NoError(t, err)
		for i, value := range []string{"", "{", "null", `{"i":-1}`, `{"a":"x"}`, "\xff\x00"} {
			do(t, client, "HSET", pages[0], fmt.Sprint("garbage", i), value)
			do(t, client, "ZADD", "{imapgate}pages", "1e18", value)
			do(t, client, "PUBLISH", "{imapgate}node:mx1", value)
			do(t, client, "PUBLISH", "{imapgate}guesses", value)
			do(t, client, "RPUSH", "{imapgate}guess:1", value)
		}
		for _, order := range []string{
			fmt.Sprintf(`{"session":%d,"text":"x","answer":"{imapgate}answer:x"}`, l.Info().ID),
			fmt.Sprintf(`{"session":%d,"text":"x","answer":"other"}`, l.Info().ID),
		} {
			do(t, client, "PUBLISH", "{imapgate}node:mx1", order)
		}
		do(t, client, "SET", "{imapgate}page:garbage", "garbage")
		do(t, client, "ZADD", "{imapgate}pages", "1e18", "garbage mx0")
		sessions, err := c.Sessions(t.Context())
		assert.Error(t, err, "not all could be read")
		found := 0
		for _, s := range sessions {
			if s.User == "karen" {
				assert.Equal(t, "mx1", s.Node)
				found++
			}
		}
		assert.Equal(t, 1, found, "what is ours is there")
		admit(t, c, login("karen", 2))
		n, err := do(t, client, "EXISTS", "other").AsInt64()
		require.NoError(t, err)
		assert.Zero(t, n)
	}
}

// A client that never gets an answer to its first words must not delay Close, and logins afterwards
// are not asked for.
func TestCloseBeforeRedisHasAnswered(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	o := options(l.Addr().String())
	o.Client.Dialer.Timeout, o.Client.ConnWriteTimeout = time.Hour, time.Hour
	c, err := redislimits.New(o)
	require.NoError(t, err)
	closed := make(chan error)
	go func() { closed <- c.Close() }()
	select {
	case err := <-closed:
		assert.NoError(t, err)
	case <-time.After(patience):
		require.FailNow(t, "it is not closed")
	}
	for range 20 {
		lease, err := c.Acquire(login("karen", 2))
		assert.EqualError(t, err, "redislimits: the cluster is closed")
		lease.Release()
	}
	assert.Zero(t, c.Stats())
}
