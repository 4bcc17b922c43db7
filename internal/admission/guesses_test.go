package admission

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

const longestDelay = 15 * time.Second

// place returns the nth IPv4 address.
func place(n int) netip.Prefix {
	var addr [4]byte
	binary.BigEndian.PutUint32(addr[:], uint32(n))
	return netip.PrefixFrom(netip.AddrFrom4(addr), 32)
}

// wrong notes a guess that is new.
func (g *Guesses) wrong(network netip.Prefix, n int) bool {
	return g.Wrong(network, g.Guess("karen", fmt.Sprint(n)), longestDelay)
}

func (g *Guesses) wait(network netip.Prefix, user string) time.Duration {
	_, wait := g.Delay(network, user, longestDelay)
	return wait
}

func TestGuessesDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Guesses
		by, wait := g.Delay(place(1), "karen", longestDelay)
		assert.False(t, by.IsValid())
		assert.Zero(t, wait)
		for i, want := range []time.Duration{2, 4, 8, 15, 15, 15} {
			assert.True(t, g.wrong(place(1), i))
			assert.Equal(t, want*time.Second, g.wait(place(1), "karen"))
		}
		time.Sleep(14 * time.Second)
		assert.Equal(t, time.Second, g.wait(place(1), "karen"))
		time.Sleep(time.Minute)
		by, wait = g.Delay(place(1), "karen", longestDelay)
		assert.Equal(t, place(1), by, "its checks still go one by one")
		assert.Zero(t, wait)
		assert.Zero(t, g.wait(place(2), "karen"))

		// Three wrong guesses count after 15 minutes, and none after an hour.
		time.Sleep(forgiveAfter)
		g.wrong(place(1), 100)
		assert.Equal(t, 15*time.Second, g.wait(place(1), "karen"))
		time.Sleep(2 * forgiveAfter)
		g.wrong(place(1), 101)
		assert.Equal(t, 8*time.Second, g.wait(place(1), "karen"))
		time.Sleep(3 * forgiveAfter)
		by, _ = g.Delay(place(1), "karen", longestDelay)
		assert.False(t, by.IsValid())
		assert.Zero(t, g.Networks(), "and nothing is remembered")
	})
}

func TestGuessesMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Guesses
		assert.True(t, g.wrong(place(1), 0))
		for i := 1; i < 20; i++ {
			assert.False(t, g.wrong(place(1), 0), "it stays among the last ones while it is made")
			assert.True(t, g.wrong(place(1), i))
		}
		for i := range remembered - 1 {
			assert.False(t, g.wrong(place(1), 19-i))
		}
		assert.True(t, g.wrong(place(1), 5), "long ago")
		assert.True(t, g.wrong(place(2), 0), "another network")
		assert.NotEqual(t, g.Guess("ab", "c"), g.Guess("a", "bc"))
		var other Guesses
		assert.NotEqual(t, g.Guess("a", "b"), other.Guess("a", "b"), "nobody knows the key")
	})
}

func TestGuessesOfKnownUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Guesses
		g.Right(place(1), "karen")
		g.Right(place(1), "")
		g.Right(netip.Prefix{}, "bob")
		g.wrong(place(1), 0)
		g.wrong(place(2), 0)
		assert.Zero(t, g.wait(place(1), "karen"))
		assert.Equal(t, 2*time.Second, g.wait(place(1), "bob"))
		assert.Equal(t, 2*time.Second, g.wait(place(1), ""))
		assert.Equal(t, 2*time.Second, g.wait(place(2), "karen"))
		time.Sleep(knownFor)
		g.wrong(place(1), 1)
		assert.Equal(t, 2*time.Second, g.wait(place(1), "karen"))
		assert.Zero(t, g.users.len())
	})
}

func TestGuessesOfAWideNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Guesses
		part := func(i int) netip.Prefix {
			return netip.MustParsePrefix(fmt.Sprintf("2001:db8:1:%x::/64", i))
		}
		for i := range manyBad - 1 {
			g.wrong(part(i), i)
			g.wrong(part(i), 100+i)
		}
		assert.Zero(t, g.wait(part(50), "karen"))
		g.wrong(part(60), 100+manyBad-2)
		g.wrong(part(61), 100+manyBad-2)
		assert.Zero(t, g.wait(part(50), "karen"), "the same guess from everywhere is one")
		g.wrong(part(62), 1000)
		by, wait := g.Delay(part(50), "karen", longestDelay)
		assert.Equal(t, netip.MustParsePrefix("2001:db8:1::/48"), by)
		assert.Equal(t, 2*time.Second, wait)
		assert.Equal(t, 4*time.Second, g.wait(part(1), "karen"), "its own wait is the longer one")
		g.Right(part(50), "karen")
		assert.Zero(t, g.wait(part(50), "karen"))
		assert.Zero(t, g.wait(netip.MustParsePrefix("2001:db8:2:1::/64"), "karen"))
	})
}

func TestGuessesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Guesses
		for i := range maxRecent + 1000 {
			g.Wrong(place(i), Guess(i), longestDelay)
			g.Wrong(place(0), Guess(i), longestDelay) // a network that keeps guessing is not dropped
		}
		assert.Equal(t, maxRecent, g.Networks())
		assert.Equal(t, longestDelay, g.wait(place(0), "karen"))
		assert.Zero(t, g.wait(place(1), "karen"), "the least recent has gone")
		assert.Equal(t, 2*time.Second, g.wait(place(maxRecent+999), "karen"))
		assert.Len(t, g.networks.entries, maxRecent+1)

		for i := range maxRecent + 1000 {
			g.Right(place(i), "karen")
		}
		assert.Equal(t, maxRecent, g.users.len())
		time.Sleep(24 * time.Hour)
		for range maxRecent {
			g.wait(place(0), "karen")
		}
		assert.Zero(t, g.Networks())
		assert.Nil(t, g.networks.entries, "the memory is given back")
	})
}

func TestGuessesAreOffWithoutADelayOrANetwork(t *testing.T) {
	var g Guesses
	assert.False(t, g.Wrong(place(1), 1, 0))
	assert.False(t, g.Wrong(netip.Prefix{}, 1, longestDelay))
	assert.Zero(t, g.Networks())
	g.Wrong(place(1), 1, longestDelay)
	by, _ := g.Delay(place(1), "karen", 0)
	assert.False(t, by.IsValid())
	by, _ = g.Delay(netip.Prefix{}, "karen", longestDelay)
	assert.False(t, by.IsValid())
}

// The memory of a full table of networks and users.
//
//	go test -run '^$' -bench GuessesMemory -benchtime 1x ./internal/admission
func BenchmarkGuessesMemory(b *testing.B) {
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	for b.Loop() {
		before := heap()
		var g Guesses
		for i := range 2 * maxRecent { // more than fit
			var addr [16]byte
			binary.BigEndian.PutUint64(addr[:], uint64(i)<<20)
			network := netip.PrefixFrom(netip.AddrFrom16(addr), 64)
			g.Wrong(network, Guess(i), longestDelay)
		}
		networks := heap()
		for i := range 2 * maxRecent {
			g.Right(place(i), "karen")
		}
		users := heap()
		b.ReportMetric(float64(networks-before)/(1<<20), "MB-networks")
		b.ReportMetric(float64(users-networks)/(1<<20), "MB-users")
		b.ReportMetric(float64(g.Networks()), "networks")
		b.ReportMetric(0, "ns/op")
	}
}

// The cost for a login in a network without wrong passwords, and in one with them.
//
//	go test -run '^$' -bench GuessesDelay ./internal/admission
func BenchmarkGuessesDelay(b *testing.B) {
	for name, network := range map[string]netip.Prefix{"quiet": place(7 << 20), "guessing": place(7)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var g Guesses
			for i := range maxRecent {
				g.Wrong(place(i), Guess(i), longestDelay)
			}
			for b.Loop() {
				g.Delay(network, "karen", longestDelay)
			}
		})
	}
}

// An earlier guess that is heard of late counts, and does not make the last one older.
func TestAGuessThatIsHeardOfLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Guesses
		network := netip.MustParsePrefix("192.0.2.1/32")
		delay := func() time.Duration {
			_, wait := g.Delay(network, "", 15*time.Second)
			return wait
		}
		g.WrongBefore(network, 11, 15*time.Second, time.Second)
		assert.Equal(t, time.Second, delay())
		g.Wrong(network, 21, 15*time.Second)
		assert.Equal(t, 4*time.Second, delay())
		g.WrongBefore(network, 31, 15*time.Second, time.Hour)
		assert.Equal(t, 8*time.Second, delay())
		assert.False(t, g.WrongBefore(network, 21, 15*time.Second, time.Hour))
		assert.Equal(t, 8*time.Second, g.Interval(network, 15*time.Second))
	})
}

// The clock of a machine that tells of a guess may be wrong: its guess is then one of now.
func TestAGuessOfTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Guesses
		network := netip.MustParsePrefix("192.0.2.1/32")
		for i := range 3 {
			g.WrongBefore(network, Guess(10*i+1), 15*time.Second, -10*time.Hour)
		}
		_, wait := g.Delay(network, "", 15*time.Second)
		assert.Equal(t, 8*time.Second, wait)
		time.Sleep(time.Hour)
		by, _ := g.Delay(network, "", 15*time.Second)
		assert.Zero(t, by, "forgiven")
	})
}
