package admission

import (
	"net/netip"
	"time"
)

// guesser is a network from which somebody has guessed wrong.
type guesser struct {
	last  time.Duration // the time of the last wrong guess
	level uint8         // the number of wrong guesses then, up to that of the longest delay
	// bad is how many /64s of a /48 have guessed wrong, up to manyBad; 0 for other networks.
	bad  uint8
	seen [remembered]uint32 // the lower half of each guess, the last one first
}

// knows reports whether the guess is one of the last ones, and moves it to the front.
func (n *guesser) knows(short uint32) bool {
	for i, seen := range n.seen {
		if seen == short {
			copy(n.seen[1:i+1], n.seen[:i])
			n.seen[0] = short
			return true
		}
	}
	return false
}

// forgiven reports whether the network has no more reason to wait.
func (n *guesser) forgiven(now time.Duration) bool {
	return n.levelAt(now) == 0 && n.badAt(now) == 0
}

func (n *guesser) levelAt(now time.Duration) uint8 {
	if n == nil {
		return 0
	}
	return n.lessSince(now, n.level)
}

func (n *guesser) badAt(now time.Duration) uint8 {
	if n == nil {
		return 0
	}
	return n.lessSince(now, n.bad)
}

// lessSince returns the count, less one for each forgiveAfter since the last wrong guess.
func (n *guesser) lessSince(now time.Duration, count uint8) uint8 {
	return count - uint8(min((now-n.last)/forgiveAfter, time.Duration(count)))
}

// waitAt returns how long the network's next check must still wait.
func (n *guesser) waitAt(now, longest time.Duration) time.Duration {
	level := n.levelAt(now)
	if level == 0 {
		return 0
	}
	return max(n.last+min(firstDelay<<(level-1), longest)-now, 0)
}

// levels returns how many wrong guesses it takes to reach the longest delay.
func levels(longest time.Duration) uint8 {
	level := uint8(1)
	for firstDelay<<(level-1) < longest && level < 30 {
		level++
	}
	return level
}

// wider returns the /48 around the /64, or the zero Prefix for another network.
func wider(network netip.Prefix) netip.Prefix {
	if network.Bits() != 64 || !network.Addr().Is6() {
		return netip.Prefix{}
	}
	wide, _ := network.Addr().Prefix(48)
	return wide
}
