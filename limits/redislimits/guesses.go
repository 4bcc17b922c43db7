package redislimits

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const (
	// guessLists is the number of lists of wrong passwords, and maxGuesses how many each list keeps. A
	// few from one network are enough for its longest delay.
	guessLists = 4096
	maxGuesses = 32
	// guessesLast is how long the lists are kept, which is longer than they delay anybody.
	guessesLast = 2 * time.Hour
	// maxUntold is how many wrong passwords, and how many networks to ask for, may wait to be sent.
	// The rest is dropped: in such a storm, one more makes no difference.
	maxUntold = 1024
)

var errNoTime = errors.New("the answer to TIME is not a time")

// guesses are the wrong passwords that a node must still send, and the networks to ask for.
type guesses struct {
	mu   sync.Mutex
	tell func(network netip.Prefix, guess uint64, ago time.Duration) // nil before Hear
	told []guess
	ask  []*question
}

// question is a network from which a client has connected.
type question struct {
	network netip.Prefix
	known   chan struct{} // closed by done
	done    func()        // closes known; may be called again
}

// guess is a wrong password in the form that nodes exchange.
type guess struct {
	Network netip.Prefix `json:"n"`
	Guess   uint64       `json:"g"`
	At      int64        `json:"t,omitempty"` // in Unix milliseconds, by the clock of Redis
}

// GuessKey returns the key with which guesses are hashed. It is nil without a secret, as someone
// who can read Redis must not be able to find passwords from the hashes.
func (c *Cluster) GuessKey() []byte { return c.names.guess }

// Hear sets the function that is called for wrong passwords on all nodes, this one included.
func (c *Cluster) Hear(tell func(network netip.Prefix, guess uint64, ago time.Duration)) {
	c.guesses.mu.Lock()
	defer c.guesses.mu.Unlock()
	c.guesses.tell = tell
}

// Guessed sends a wrong password to all nodes.
func (c *Cluster) Guessed(network netip.Prefix, hash uint64) {
	c.guesses.mu.Lock()
	if len(c.guesses.told) < maxUntold {
		c.guesses.told = append(c.guesses.told, guess{Network: network, Guess: hash})
	}
	c.guesses.mu.Unlock()
	c.poke()
}

// Connected asks for what is known of a network, for IPv6 of its /48, unless the node has listened
// long enough to have heard all that matters. The channel is closed within Options.Timeout.
func (c *Cluster) Connected(network netip.Prefix) (known <-chan struct{}) {
	listened := time.Duration(c.now() - c.listening.Load())
	if listened > guessesLast || c.down.Load() {
		return nil
	}
	q := &question{network: network, known: make(chan struct{})}
	q.done = sync.OnceFunc(func() { close(q.known) })
	c.guesses.mu.Lock()
	defer c.guesses.mu.Unlock()
	if len(c.guesses.ask) == maxUntold {
		return nil
	}
	c.guesses.ask = append(c.guesses.ask, q)
	time.AfterFunc(c.options.Timeout, q.done)
	c.poke()
	return q.known
}

// Turn takes the turn of a network for that time, or returns how long another node still has it.
func (c *Cluster) Turn(network netip.Prefix, every time.Duration) (wait time.Duration) {
	milliseconds := strconv.FormatInt(max(every.Milliseconds(), 1), 10)
	left, err := c.call(nil, func(ctx context.Context) rueidis.RedisResult {
		keys := []string{c.names.turn(network)}
		return turnScript.Exec(ctx, c.client, keys, []string{milliseconds})
	})
	if err != nil {
		return 0 // this node decides alone
	}
	return time.Duration(left) * time.Millisecond
}

// shareGuesses sends the wrong passwords, and asks for the networks.
func (w *worker) shareGuesses() bool {
	w.guesses.mu.Lock()
	told, ask := w.guesses.told, w.guesses.ask
	w.guesses.told, w.guesses.ask = nil, nil
	w.guesses.mu.Unlock()
	if len(told) == 0 && len(ask) == 0 {
		return true
	}
	defer func() {
		for _, q := range ask {
			q.done()
		}
	}()
	ctx, cancel := context.WithTimeout(w.ctx, w.workTimeout())
	defer cancel()
	now, err := w.redisTime(ctx)
	if err == nil {
		err = w.tellGuesses(ctx, told, now)
	}
	if err == nil {
		err = w.askGuesses(ctx, ask, now)
	}
	if err != nil {
		w.unshared(err)
	}
	return !w.down.Load()
}

// redisTime returns what the clock of Redis says, in Unix milliseconds.
func (w *worker) redisTime(ctx context.Context) (int64, error) {
	parts, err := w.client.Do(ctx, w.client.B().Time().Build()).AsIntSlice()
	if err != nil || len(parts) != 2 {
		return 0, cmp.Or(err, errNoTime)
	}
	return parts[0]*1000 + parts[1]/1000, nil
}

// tellGuesses tells all nodes about wrong passwords. A list of another type is none of ours.
func (w *worker) tellGuesses(ctx context.Context, told []guess, now int64) error {
	var commands rueidis.Commands
	for _, g := range told {
		g.At = now
		key := w.names.guessesOf(g.Network)
		commands = append(commands,
			w.client.B().Publish().Channel(w.names.guesses()).
				Message(w.sealGuess(w.names.guesses(), g)).Build(),
			w.client.B().Lpush().Key(key).Element(w.sealGuess(key, g)).Build(),
			w.client.B().Ltrim().Key(key).Start(0).Stop(maxGuesses-1).Build(),
			w.client.B().Pexpire().Key(key).Milliseconds(guessesLast.Milliseconds()).Build(),
		)
	}
	const each = 4 // commands
	for i, result := range w.client.DoMulti(ctx, commands...) {
		err := result.Error()
		if isWrongType(err) {
			key := w.names.guessesOf(told[i/each].Network)
			err = w.client.Do(ctx, w.client.B().Del().Key(key).Build()).Error()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) sealGuess(name string, g guess) string {
	text, err := json.Marshal(g)
	if err != nil {
		panic(err) // cannot happen: every field can be encoded
	}
	return c.names.seal(name, text)
}

// askGuesses asks for the wrong passwords of networks, and passes them on, the oldest first.
func (w *worker) askGuesses(ctx context.Context, ask []*question, now int64) error {
	var commands rueidis.Commands
	for _, q := range ask {
		key := w.names.guessesOf(q.network)
		list := w.client.B().Lrange().Key(key).Start(0).Stop(maxGuesses - 1).Build()
		commands = append(commands, list)
	}
	for i, result := range w.client.DoMulti(ctx, commands...) {
		list, err := result.AsStrSlice()
		if err != nil && !isWrongType(err) {
			return err
		}
		for at := len(list) - 1; at >= 0; at-- {
			g, ok := w.openGuess(w.names.guessesOf(ask[i].network), list[at])
			ago := now - g.At
			if ok && wide(g.Network) == wide(ask[i].network) && ago < guessesLast.Milliseconds() {
				w.tellLocal(g, time.Duration(max(ago, 0))*time.Millisecond)
			}
		}
	}
	return nil
}

// hear receives a wrong password that was tried just now.
func (c *Cluster) hear(message string) {
	if g, ok := c.openGuess(c.names.guesses(), message); ok {
		c.tellLocal(g, 0)
	}
}

func (c *Cluster) openGuess(name, sealed string) (g guess, ok bool) {
	text, err := c.names.open(name, sealed)
	ok = err == nil && json.Unmarshal(text, &g) == nil && g.Network.IsValid()
	return g, ok
}

// tellLocal passes a wrong password on to the limiter of this node.
func (c *Cluster) tellLocal(g guess, ago time.Duration) {
	c.guesses.mu.Lock()
	tell := c.guesses.tell
	c.guesses.mu.Unlock()
	if tell != nil {
		tell(g.Network, g.Guess, ago)
	}
}
