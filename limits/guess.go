package limits

import (
	"net/netip"
	"time"

	"github.com/imapgate/imapgate/internal/admission"
)

// knownWait is the longest wait for a cluster to say what other machines know of a network. It is
// much longer than a cluster needs: without this knowledge a guess is not delayed.
const knownWait = 5 * time.Second

// guessNetwork returns the network whose wrong passwords count for the client, or the zero Prefix
// if none count. It does not use IPKey: strangers whom IPKey groups with a user must not delay the
// user.
func (c *client) guessNetwork() netip.Prefix {
	if c.limits.Load().exempt || !c.ip.IsValid() {
		return netip.Prefix{}
	}
	return network(c.addr)
}

// longestDelay is MaxGuessDelay for this client.
func (c *client) longestDelay() time.Duration { return c.limits.Load().MaxGuessDelay }

// delayReached is reached for MaxGuessDelay.
func (c *client) delayReached() refusal {
	return refusal{limit: maxGuessDelay, value: int64(c.longestDelay())}
}

// noteWrong notes a wrong password, which delays the next checks from the client's network.
func (c *client) noteWrong(guess admission.Guess) {
	settings, network := c.limiter.settings.Load(), c.guessNetwork()
	counts := c.limiter.guesses.Wrong(network, guess, c.longestDelay())
	if counts && settings.guesses != nil {
		settings.guesses.Guessed(network, uint64(guess))
	}
}

// hearGuesses registers the limiter to hear of wrong passwords on other machines, if a cluster
// shares them. It must be called before the settings hold, as then the cluster is asked what it
// knows. LimitsFor is not asked, as it knows clients of this machine only.
func (l *Limiter) hearGuesses(settings *settings) {
	if settings.guesses == nil {
		return
	}
	if key := settings.guesses.GuessKey(); key != nil {
		l.guesses.UseKey(key)
	}
	longest := settings.MaxGuessDelay
	settings.guesses.Hear(func(network netip.Prefix, guess uint64, ago time.Duration) {
		l.guesses.WrongBefore(network, admission.Guess(guess), longest, ago)
	})
}

// askGuesses asks the other machines for earlier wrong passwords from the client's network, so that
// they are known before the password check.
func (s *session) askGuesses() {
	settings, network := s.limiter.settings.Load(), s.guessNetwork()
	if settings.guesses != nil && s.longestDelay() > 0 && network.IsValid() {
		s.guessesKnown = settings.guesses.Connected(network)
	}
}

// noteRight notes that the user has logged in from the client's network, so that wrong passwords of
// others there do not delay the user. The caller must be sure whose password was right: someone who
// could choose the name could guess that user's password without a delay.
func (c *client) noteRight(user string) {
	if c.longestDelay() > 0 {
		c.limiter.guesses.Right(c.guessNetwork(), user)
	}
}

// guessDelay returns the network in whose queue the check of the owner's password waits, and how
// long until its turn. The network is the zero Prefix if the check need not wait.
func (c *client) guessDelay(owner string) (by netip.Prefix, wait time.Duration) {
	return c.limiter.guesses.Delay(c.guessNetwork(), owner, c.longestDelay())
}

// awaitGuesses waits as long as wrong passwords from the login's network demand, and until no other
// delayed login from there is being checked. It holds no slot for a check during that time.
func (s *session) awaitGuesses(a *attempt, command, user string) error {
	start := time.Now()
	if ended := s.awaitKnown(a); ended != nil {
		r := refusal{limit: ended}
		s.refuse(Event{Command: command, User: user, Waited: time.Since(start)}, r)
		return r.answer()
	}
	by, wait := s.guessDelay(a.owner)
	if !by.IsValid() {
		return nil
	}
	if s.dryRun() {
		s.tellDelay(command, user, wait)
		return nil
	}
	a.delayed = true
	s.limiter.delayed.Add(1)
	defer s.limiter.delayed.Add(-1)
	start, paused := time.Now(), a.paused
	key := s.limiter.keys.Hold(by.String())
	a.guess = turn{command: command, user: user, key: key, latest: a.latest}
	if err := s.take(&a.guess, &s.limiter.guessing, key); err != nil {
		return err
	}
	if ended := s.sleepForAll(a, by); ended.limit != nil {
		event := Event{Command: command, User: user, Waited: time.Since(start)}
		s.refuse(event, ended)
		return ended.answer()
	}
	s.tellDelay(command, user, a.guess.Waited()+a.paused-paused)
	return nil
}

// awaitKnown waits until the wrong passwords on other machines are known. It returns what stopped
// the wait early, or nil. A cluster that does not answer within knownWait is waited for only once.
func (s *session) awaitKnown(a *attempt) (ended *limit) {
	known := s.guessesKnown
	s.guessesKnown = nil
	wait := min(knownWait, time.Until(a.latest))
	if known == nil || wait <= 0 || s.dryRun() || !s.guessNetwork().IsValid() {
		return nil
	}
	select {
	case <-known:
		return nil
	default:
		return s.pause(wait, known)
	}
}

// tellDelay reports that wrong passwords have delayed a login, or would have under DryRun.
func (s *session) tellDelay(command, user string, waited time.Duration) {
	if waited <= 0 {
		return
	}
	longest := s.delayReached()
	s.report(Event{
		Kind: EventDelayed, Command: command, User: user, Waited: waited,
		Limit: longest.limit.option, Max: longest.limit.text(longest.value), DryRun: s.dryRun(),
	})
}

// sleep waits until the network's next check may begin. Wrong passwords that arrive meanwhile
// lengthen the wait, up to MaxGuessDelay. It returns what stopped the wait early, or nil.
func (s *session) sleep(a *attempt) (ended *limit) {
	start := time.Now()
	for {
		settings := s.limiter.settings.Load()
		_, wait := s.guessDelay(a.owner)
		wait = min(wait, s.longestDelay()-time.Since(start))
		if wait <= 0 || settings.DryRun {
			return nil
		}
		if ended = a.pause(wait, settings.replaced); ended != nil {
			return ended
		}
		s.refreshLimits() // SetOptions may not have reached this session yet
	}
}

// sleepForAll is sleep for a whole cluster: only one machine at a time makes a check for the
// network. The delay is no wait for others, so it leaves the attempt its time for a check.
func (s *session) sleepForAll(a *attempt, by netip.Prefix) (ended refusal) {
	var slept time.Duration
	defer func() { a.latest = a.latest.Add(slept) }()
	for {
		start := time.Now()
		if ended := s.sleep(a); ended != nil {
			return refusal{limit: ended}
		}
		slept += time.Since(start)
		settings := s.limiter.settings.Load()
		every := s.limiter.guesses.Interval(by, s.longestDelay())
		if settings.guesses == nil || every == 0 || settings.DryRun {
			return refusal{}
		}
		wait := settings.guesses.Turn(by, every)
		if wait <= 0 {
			return refusal{}
		}
		if ended := a.pause(min(wait, time.Until(a.latest)), settings.replaced); ended != nil {
			return refusal{limit: ended}
		}
		if !time.Now().Before(a.latest) {
			ended = s.delayReached()
			ended.timedOut = true
			return ended
		}
	}
}

// pause is the session's, and adds to the time that the attempt has paused.
func (a *attempt) pause(wait time.Duration, changed <-chan struct{}) (ended *limit) {
	start := time.Now()
	ended = a.session.pause(wait, changed)
	a.paused += time.Since(start)
	return ended
}

// pause waits for that time, or until the channel is closed. It returns anything else that stopped
// the wait, or nil.
func (s *session) pause(wait time.Duration, changed <-chan struct{}) (ended *limit) {
	w := s.wait()
	defer s.endWait(w)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-s.limiter.open.Done():
		return limiterClosed
	case <-w.gone:
		return clientGone
	}
	if s.socket.HungUp() {
		return clientGone
	}
	return nil
}
