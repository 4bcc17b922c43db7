package admission

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"
)

const (
	// firstDelay is the delay of a network's next check after its first wrong guess. Each further
	// wrong guess doubles it.
	firstDelay = 2 * time.Second
	// forgiveAfter is the time without a wrong guess after which a network is forgiven one of them.
	forgiveAfter = 15 * time.Minute
	// knownFor is how long a user who has logged in from the network need not wait.
	knownFor = 7 * 24 * time.Hour
	// manyBad is how many /64s of a /48 must have guessed wrong before the /48 is delayed as a whole.
	manyBad = 16
	// remembered is how many of its last wrong guesses are remembered for a network.
	remembered = 8
	// forgetAtOnce is how many networks one step may forget, so that no step takes long.
	forgetAtOnce = 16
)

// Guesses delays those who guess passwords. For each network, an IPv4 address or an IPv6 /64, it
// remembers the number of wrong guesses, and says how long after the last one the next check must
// wait: 2 s, 4 s, 8 s and so on. A repeated guess does not count: it is a device with an old
// password, and nobody learns from it. A user who has logged in from the network recently does not
// wait. A /48 in which many /64s have guessed wrong waits as a whole.
//
// It remembers 64 K networks and as many users, and drops the least recent first. It keeps only
// hashes of guesses and users, with a secret key.
type Guesses struct {
	once sync.Once
	key  [sha256.Size]byte
	from time.Time // the instant from which times count

	mu       sync.Mutex
	networks recent[shortPrefix, guesser]
	users    recent[uint64, time.Duration] // the time of the last login
}

// shortPrefix is an IPv4 address or the network part of an IPv6 address. It takes half the memory
// of a [netip.Prefix].
type shortPrefix struct {
	high uint64 // the first bits of the address
	bits uint8
}

func shorten(network netip.Prefix) shortPrefix {
	addr := network.Addr().As16()
	if network.Addr().Is4() {
		return shortPrefix{uint64(binary.BigEndian.Uint32(addr[12:])), 32}
	}
	return shortPrefix{binary.BigEndian.Uint64(addr[:]), uint8(network.Bits())}
}

// A Guess is the keyed hash of a name and a password.
type Guess uint64

func (g *Guesses) start() {
	g.once.Do(func() {
		rand.Read(g.key[:])
		g.from = time.Now()
	})
}

// UseKey sets the key of the hashes to one that other machines share, so that their Guesses can be
// compared. It does nothing after the first hash.
func (g *Guesses) UseKey(key []byte) {
	g.once.Do(func() {
		g.key = sha256.Sum256(key)
		g.from = time.Now()
	})
}

// hash returns the keyed hash of the parts.
func (g *Guesses) hash(kind byte, parts ...string) uint64 {
	g.start()
	mac := hmac.New(sha256.New, g.key[:])
	mac.Write([]byte{kind})
	for _, part := range parts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		mac.Write(size[:])
		mac.Write([]byte(part))
	}
	return binary.BigEndian.Uint64(mac.Sum(nil))
}

// Guess returns the Guess for the name of a user and a password.
func (g *Guesses) Guess(user, password string) Guess { return Guess(g.hash('g', user, password)) }

func (g *Guesses) userKey(network netip.Prefix, user string) uint64 {
	return g.hash('u', network.String(), user)
}

// Wrong notes a wrong guess from the network. longest is the longest delay of the network's next
// check. counts is false if the guess repeats one of the last ones, or there is no network or
// delay.
func (g *Guesses) Wrong(network netip.Prefix, guess Guess, longest time.Duration) (counts bool) {
	return g.WrongBefore(network, guess, longest, 0)
}

// WrongBefore is Wrong for a guess that was made some time ago. If the network's last guess was
// later, the time of that one holds. A negative time, of a clock that is wrong, counts as none.
func (g *Guesses) WrongBefore(
	network netip.Prefix, guess Guess, longest, ago time.Duration,
) (counts bool) {
	if !network.IsValid() || longest <= 0 {
		return false
	}
	g.start()
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Since(g.from)
	g.forgetLocked(now)
	now -= max(ago, 0)
	short := shorten(network)
	isNew := g.networks.get(short).levelAt(now) == 0
	counts = g.countLocked(short, guess, now, longest, func(n *guesser) { n.level++ })
	if wide := wider(network); counts && wide.IsValid() {
		g.countLocked(shorten(wide), guess, now, longest, func(w *guesser) {
			if isNew && w.bad < manyBad {
				w.bad++
			}
			if w.bad == manyBad {
				w.level++
			}
		})
	}
	return counts
}

// countLocked calls add to count the guess for the network, unless the network has made it before.
func (g *Guesses) countLocked(
	network shortPrefix, guess Guess, now, longest time.Duration, add func(*guesser),
) (counts bool) {
	short := uint32(guess) | 1 // 0 means none
	n := g.networks.get(network)
	if n != nil {
		now = max(now, n.last)
	}
	if n.forgiven(now) {
		n = g.networks.touch(network)
		*n = guesser{}
	} else if n.knows(short) {
		return false
	} else {
		n = g.networks.touch(network)
	}
	n.level, n.bad = n.levelAt(now), n.badAt(now)
	add(n)
	n.level = min(n.level, levels(longest))
	n.last = now
	copy(n.seen[1:], n.seen[:])
	n.seen[0] = short
	return true
}

// Right notes that the user has logged in from the network.
func (g *Guesses) Right(network netip.Prefix, user string) {
	if !network.IsValid() || user == "" {
		return
	}
	key := g.userKey(network, user)
	g.mu.Lock()
	defer g.mu.Unlock()
	*g.users.touch(key) = time.Since(g.from)
}

// Delay returns the network in whose queue the check of the user's password must wait, and how long
// until its turn; the zero Prefix if it need not wait. Only one check of that network should run at
// a time.
func (g *Guesses) Delay(
	network netip.Prefix, user string, longest time.Duration,
) (by netip.Prefix, wait time.Duration) {
	if !network.IsValid() || longest <= 0 {
		return netip.Prefix{}, 0
	}
	g.mu.Lock()
	if g.networks.len() == 0 {
		g.mu.Unlock()
		return netip.Prefix{}, 0
	}
	now := time.Since(g.from)
	g.forgetLocked(now)
	if n := g.networks.get(shorten(network)); n.levelAt(now) > 0 {
		by, wait = network, n.waitAt(now, longest)
	}
	if wide := wider(network); wide.IsValid() {
		if w := g.networks.get(shorten(wide)); w.badAt(now) == manyBad {
			by, wait = wide, max(wait, w.waitAt(now, longest))
		}
	}
	g.mu.Unlock()
	if by.IsValid() && g.knows(network, user, now) {
		return netip.Prefix{}, 0
	}
	return by, wait
}

// Interval returns the time between two checks of a network whose checks must wait.
func (g *Guesses) Interval(by netip.Prefix, longest time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	level := g.networks.get(shorten(by)).levelAt(time.Since(g.from))
	if level == 0 {
		return 0
	}
	return min(firstDelay<<(level-1), longest)
}

// knows reports whether the user has logged in from the network recently.
func (g *Guesses) knows(network netip.Prefix, user string, now time.Duration) bool {
	if user == "" {
		return false
	}
	key := g.userKey(network, user)
	g.mu.Lock()
	defer g.mu.Unlock()
	last := g.users.get(key)
	return last != nil && now-*last < knownFor
}

// forgetLocked drops some of the networks and users that no longer matter.
func (g *Guesses) forgetLocked(now time.Duration) {
	for range forgetAtOnce {
		key, n, ok := g.networks.oldest()
		if !ok || !n.forgiven(now) {
			break
		}
		g.networks.delete(key)
	}
	for range forgetAtOnce {
		key, last, ok := g.users.oldest()
		if !ok || now-*last < knownFor {
			break
		}
		g.users.delete(key)
	}
}

// Networks returns how many networks are remembered.
func (g *Guesses) Networks() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.networks.len()
}
