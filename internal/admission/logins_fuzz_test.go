package admission_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/admission"
)

// loginModel checks Logins against their rules.
type loginModel struct {
	t        *testing.T
	random   *rand.Rand
	logins   *admission.Logins[*modelClient]
	limits   admission.LoginLimits
	settled  chan *modelClient // clients whose wait is over
	waiting  []*modelClient
	checking []*modelClient
	sessions []*modelClient
	evicted  []*modelClient // evicted, but not logged out yet
}

// modelClient is a client, from its question to its session.
type modelClient struct {
	user    string
	network netip.Prefix
	gone    chan struct{}
	attempt *admission.Attempt[*modelClient]
	refusal admission.Refusal
	in      *admission.Login[*modelClient]
	hungUp  bool
}

func (c *modelClient) isOf(user string) bool { return c.user == user }

func (c *modelClient) isPairOf(other *modelClient) bool {
	return c.user == other.user && c.network == other.network
}

func count(clients []*modelClient, is func(*modelClient) bool) (n int) {
	for _, c := range clients {
		if is(c) {
			n++
		}
	}
	return n
}

func remove(from *[]*modelClient, c *modelClient) {
	*from = slices.DeleteFunc(*from, func(other *modelClient) bool { return other == c })
}

func (m *loginModel) pick(from []*modelClient) *modelClient {
	if len(from) == 0 {
		return nil
	}
	return from[m.random.IntN(len(from))]
}

// ask makes another client ask.
func (m *loginModel) ask() {
	c := &modelClient{
		user:    string(rune('a' + m.random.IntN(3))),
		network: []netip.Prefix{home, office}[m.random.IntN(2)],
		gone:    make(chan struct{}),
	}
	c.attempt = m.logins.Ask(admission.LoginCaller{
		User: c.user, Pair: c.network, Network: c.network,
		Limits: func() admission.LoginLimits { return m.limits },
	})
	m.waiting = append(m.waiting, c)
	go func() {
		c.refusal = c.attempt.Wait(c.gone)
		m.settled <- c
	}()
}

// hangUp hangs up a client that waits.
func (m *loginModel) hangUp() {
	if c := m.pick(m.waiting); c != nil {
		close(c.gone)
		synctest.Wait()
	}
}

// check ends a check; of three passwords two are right.
func (m *loginModel) check() {
	c := m.pick(m.checking)
	if c == nil {
		return
	}
	remove(&m.checking, c)
	defer c.attempt.End()
	if m.random.IntN(3) == 0 {
		return
	}
	in, evicted, refusal := c.attempt.Admit(c.user, c)
	for _, older := range evicted {
		require.Equal(m.t, c.user, older.Session.user)
		remove(&m.sessions, older.Session)
		m.evicted = append(m.evicted, older.Session)
	}
	ofUser := count(m.sessions, func(s *modelClient) bool { return s.isOf(c.user) })
	fromNetwork := count(m.sessions, func(s *modelClient) bool { return s.network == c.network })
	switch refusal.Reason {
	case admission.UserFull:
		require.GreaterOrEqual(m.t, ofUser, m.limits.User)
		require.Equal(m.t, m.limits.User, refusal.Limit)
	case admission.NetworkFull:
		require.GreaterOrEqual(m.t, fromNetwork, m.limits.Network)
		require.Equal(m.t, m.limits.Network, refusal.Limit)
	default:
		require.Zero(m.t, refusal)
		require.True(m.t, m.limits.User == 0 || ofUser < m.limits.User, "sessions of a user")
		require.True(m.t, m.limits.Network == 0 || fromNetwork < m.limits.Network, "from a network")
		c.in = in
		m.sessions = append(m.sessions, c)
	}
	if refusal.Is() {
		require.Nil(m.t, in)
		require.Empty(m.t, evicted)
	}
	if len(evicted) > 0 {
		require.LessOrEqual(m.t, count(m.evicted, func(s *modelClient) bool {
			return s.isOf(c.user) && s.hungUp
		}), m.limits.User, "evicted sessions that still run a command")
	}
}

// leave ends a session, evicted or not.
func (m *loginModel) leave() {
	from := &m.sessions
	if m.random.IntN(2) == 0 && len(m.evicted) > 0 {
		from = &m.evicted
	}
	if c := m.pick(*from); c != nil {
		remove(from, c)
		m.logins.Leave(c.in)
	}
}

// sweep finds that some of the user's sessions are hung up or silent.
func (m *loginModel) sweep() {
	user := string(rune('a' + m.random.IntN(3)))
	m.logins.MakeRoom(user, func(all []*admission.Login[*modelClient]) (
		hungUp, silent []*admission.Login[*modelClient],
	) {
		for _, in := range all {
			switch n := m.random.IntN(4); {
			case n == 0 || in.Session.hungUp:
				in.Session.hungUp = true
				hungUp = append(hungUp, in)
			case n == 1:
				silent = append(silent, in)
			}
		}
		return hungUp, silent
	})
	if m.random.IntN(4) == 0 {
		time.Sleep(20 * time.Millisecond)
	}
}

func (m *loginModel) change() {
	m.limits = admission.LoginLimits{User: m.random.IntN(5), Network: m.random.IntN(9)}
	m.limits.OneByOne = m.limits.User > 0
	m.logins.Review()
}

// look finds out whose wait is over, and checks that against the rules.
func (m *loginModel) look() {
	synctest.Wait()
	for len(m.settled) > 0 {
		c := <-m.settled
		remove(&m.waiting, c)
		if c.refusal.Is() {
			c.attempt.End()
			continue
		}
		m.checking = append(m.checking, c)
		checks := count(m.checking, c.isPairOf)
		if m.limits.OneByOne && count(m.sessions, c.isPairOf) == 0 {
			require.Equal(m.t, 1, checks, "strangers are checked one at a time")
		}
		if m.limits.User > 0 && count(m.sessions, c.isPairOf) > 0 {
			require.LessOrEqual(m.t, checks, m.limits.User, "more checks than could be admitted")
		}
	}
	sessions, checking, waiting := m.logins.Counts()
	require.Equal(
		m.t, []int{len(m.sessions), len(m.checking), len(m.waiting)}, []int{sessions, checking, waiting},
	)
	for _, c := range m.waiting {
		require.Positive(m.t, count(m.checking, c.isPairOf), "somebody waits, and nobody is checked")
	}
}

// end ends all that is left.
func (m *loginModel) end() {
	if m.random.IntN(2) == 0 {
		m.logins.Close()
		m.look()
		require.Empty(m.t, m.waiting)
	}
	for len(m.checking)+len(m.waiting) > 0 {
		for _, c := range m.checking {
			c.attempt.End()
		}
		m.checking = nil
		m.look()
	}
	for _, c := range slices.Concat(m.sessions, m.evicted) {
		m.logins.Leave(c.in)
	}
	sessions, checking, waiting := m.logins.Counts()
	require.Equal(m.t, []int{0, 0, 0}, []int{sessions, checking, waiting})
	require.Zero(m.t, m.logins.Entries())
}

// Whatever happens, no limit is exceeded, strangers are checked one at a time, no login waits
// unless another one is being checked, and no more evicted sessions are open than the limit. After
// that nothing is held.
func FuzzLogins(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) {
			m := &loginModel{
				t: t, random: rand.New(rand.NewPCG(seed, 1)),
				logins:  &admission.Logins[*modelClient]{Timeout: time.Hour},
				limits:  admission.LoginLimits{User: 3, Network: 7, OneByOne: true},
				settled: make(chan *modelClient, 1000),
			}
			for range 300 {
				switch m.random.IntN(12) {
				case 0, 1, 2, 3:
					m.ask()
				case 4, 5, 6, 7:
					m.check()
				case 8:
					m.leave()
				case 9:
					m.sweep()
				case 10:
					m.hangUp()
				case 11:
					if m.random.IntN(4) == 0 {
						m.change()
					}
				}
				m.look()
			}
			m.end()
		})
	})
}
