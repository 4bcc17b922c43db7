package redislimits_test

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/limits/redislimits"
)

type heard struct {
	network netip.Prefix
	guess   uint64
	ago     time.Duration
}

// hear returns a channel with the wrong passwords that the node hears of.
func hear(c *redislimits.Cluster) <-chan heard {
	all := make(chan heard, 10_000)
	c.Hear(func(network netip.Prefix, guess uint64, ago time.Duration) {
		all <- heard{network, guess, ago}
	})
	return all
}

// next returns the next wrong password that is heard.
func next(t *testing.T, all <-chan heard) heard {
	select {
	case h := <-all:
		return h
	case <-time.After(patience):
		require.FailNow(t, "nothing is heard")
		return heard{}
	}
}

var lastMarker atomic.Uint64

// listening waits until the node hears its own messages, and all of these have been heard. The
// others are of nodes that listen already.
func listening(
	t *testing.T, c *redislimits.Cluster, all <-chan heard, others ...<-chan heard,
) {
	network := netip.MustParsePrefix("203.0.113.1/32")
	eventually(t, "the node listens", func() bool {
		c.Guessed(network, 0)
		select {
		case <-all:
			return true
		case <-time.After(20 * time.Millisecond):
			return false
		}
	})
	last := heard{network, lastMarker.Add(1), 0}
	c.Guessed(last.network, last.guess)
	for _, all := range append(others, all) {
		for next(t, all) != last {
		}
	}
}

// told waits until Redis has that many wrong passwords.
func told(t *testing.T, client rueidis.Client, guesses int64) {
	eventually(t, "Redis has the wrong passwords", func() bool {
		keys, err := do(t, client, "KEYS", "{imapgate}guess:*").AsStrSlice()
		require.NoError(t, err)
		var found int64
		for _, key := range keys {
			n, err := do(t, client, "LLEN", key).AsInt64()
			require.NoError(t, err)
			found += n
		}
		return found == guesses
	})
}

func TestAllNodesHearOfAGuess(t *testing.T) {
	for _, secret := range []string{"", "0123456789abcdef"} {
		r := startRedis(t)
		o := options(r.address())
		o.Secret = []byte(secret)
		one, two := newNode(t, o), newNode(t, o)
		hearOne, hearTwo := hear(one), hear(two)
		listening(t, one, hearOne)
		listening(t, two, hearTwo, hearOne)
		network := netip.MustParsePrefix("2001:db8::/64")
		one.Guessed(network, 1<<63+5)
		assert.Equal(t, heard{network, 1<<63 + 5, 0}, next(t, hearOne))
		assert.Equal(t, heard{network, 1<<63 + 5, 0}, next(t, hearTwo))

		assert.Equal(t, one.GuessKey(), two.GuessKey())
		assert.Equal(t, secret != "", one.GuessKey() != nil)
		assertKeys(t, r.client(), "2001:db8")
	}
}

// A node that has just started, such as a process for one connection, hears of earlier guesses.
func TestANewNodeHearsOfEarlierGuesses(t *testing.T) {
	r := startRedis(t)
	one := newNode(t, options(r.address()))
	all := hear(one)
	listening(t, one, all)
	network := netip.MustParsePrefix("192.0.2.1/32")
	for guess := range uint64(5) {
		one.Guessed(network, guess)
		next(t, all)
	}
	two := newNode(t, options(r.address()))
	all = hear(two)
	<-two.Connected(network)
	assert.Len(t, all, 5, "when it is known")
	for guess := range uint64(5) {
		h := next(t, all)
		assert.Equal(t, network, h.network)
		assert.Equal(t, guess, h.guess, "the oldest first")
		assert.Less(t, h.ago, patience)
	}
	two.Connected(netip.MustParsePrefix("192.0.2.2/32"))
	two.Connected(network)
	assert.Equal(t, network, next(t, all).network, "of others nothing")
}

func TestOneNodeHasTheTurn(t *testing.T) {
	r := startRedis(t)
	one, two := newNode(t, options(r.address())), newNode(t, options(r.address()))
	network := netip.MustParsePrefix("192.0.2.1/32")
	assert.Zero(t, one.Turn(network, time.Hour))
	wait := two.Turn(network, time.Hour)
	assert.Greater(t, wait, time.Duration(0))
	assert.LessOrEqual(t, wait, time.Hour)
	assert.NotZero(t, one.Turn(network, time.Hour))
	other := netip.MustParsePrefix("192.0.2.2/32")
	assert.Zero(t, two.Turn(other, 50*time.Millisecond))
	eventually(t, "it is the other's turn", func() bool { return one.Turn(other, time.Hour) == 0 })
	assert.NotZero(t, two.Turn(other, time.Hour))
	r.kill()
	down(t, one)
	assert.Zero(t, one.Turn(network, time.Second), "the node decides alone")
}

// Strangers with any number of networks cause only a bounded number of keys.
func TestGuessersDoNotFillRedis(t *testing.T) {
	r := startRedis(t)
	c := newNode(t, options(r.address()))
	all := hear(c)
	listening(t, c, all)
	for i := range 20 {
		for j := range 500 {
			c.Guessed(netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x:%x::/64", i, j)), 1)
		}
		next(t, all)
		eventually(t, "they are told", func() bool { return len(all) >= 499 })
		for len(all) > 0 {
			<-all
		}
	}
	client := r.client()
	n, err := client.Do(t.Context(), client.B().Dbsize().Build()).AsInt64()
	require.NoError(t, err)
	assert.LessOrEqual(t, n, int64(4096))
}

// Guessers have many /64s. A new node hears of all that have guessed in the same /48.
func TestANewNodeHearsOfGuessesFromTheSameSite(t *testing.T) {
	r := startRedis(t)
	one := newNode(t, options(r.address()))
	all := hear(one)
	listening(t, one, all)
	for i := range uint64(16) {
		one.Guessed(netip.MustParsePrefix(fmt.Sprintf("2001:db8:1:%x::/64", i)), i)
		next(t, all)
	}
	two := newNode(t, options(r.address()))
	all = hear(two)
	<-two.Connected(netip.MustParsePrefix("2001:db8:1:ff::/64"))
	for i := range uint64(16) {
		assert.Equal(t, i, next(t, all).guess)
	}
	<-two.Connected(netip.MustParsePrefix("2001:db8:2::/64"))
	assert.Empty(t, all)
}

// A node asks for earlier wrong passwords until it has heard those of two hours, and again when its
// connection was lost.
func TestWhenANodeAsksForEarlierGuesses(t *testing.T) {
	network := netip.MustParsePrefix("192.0.2.1/32")
	withFake(t, func(f *fake, c *redislimits.Cluster, _ logged) {
		for range 2 {
			assert.NotNil(t, c.Connected(network))
			time.Sleep(110 * time.Minute)
			assert.NotNil(t, c.Connected(network))
			time.Sleep(20 * time.Minute)
			assert.Nil(t, c.Connected(network))
			f.cut()
			time.Sleep(2 * time.Minute) // until the client has noticed it
		}
	})
}
