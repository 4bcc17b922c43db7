package admission_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/admission"
)

// modelKeys is the number of keys of the model.
const modelKeys = 4

// gateModel checks a gate against its rules: after each step it looks at all tickets.
type gateModel struct {
	t       *testing.T
	gate    *admission.Gate
	all     admission.GateLimits
	keys    [modelKeys]modelKey
	running int
}

type modelKey struct {
	key     *admission.Key
	caller  *caller
	running int
	inside  []*admission.Ticket
	waiting []*admission.Ticket // in the order of arrival

	// passed[k] is how many slots each other key has got since k has had a caller that could take one.
	passed [modelKeys]int
}

func newGateModel(t *testing.T) *gateModel {
	m := &gateModel{t: t, gate: &admission.Gate{}}
	for i := range m.keys {
		m.keys[i].key = key(m.gate, string(rune('a'+i)))
		m.keys[i].caller = newCaller(admission.KeyLimits{})
	}
	return m
}

func (m *gateModel) limits(k int) admission.KeyLimits { return *m.keys[k].caller.limits.Load() }

// eligible reports whether a caller of the key waits for whom the key's own limit has room.
func (m *gateModel) eligible(k int) bool {
	return len(m.keys[k].waiting) > 0 && (m.limits(k).Max == 0 || m.keys[k].running < m.limits(k).Max)
}

func (m *gateModel) full() bool { return m.all.Max > 0 && m.running >= m.all.Max }

func (m *gateModel) waits() (n int) {
	for i := range m.keys {
		n += len(m.keys[i].waiting)
	}
	return n
}

func (m *gateModel) enter(k int) {
	key, limits := &m.keys[k], m.limits(k)
	mustWait := len(key.waiting) > 0 || m.full() || limits.Max > 0 && key.running >= limits.Max
	ticket := m.gate.Enter(key.key, key.caller)
	switch {
	case !mustWait:
		require.Zero(m.t, ticket.Refusal)
		require.False(m.t, ticket.Waiting(), "there is room")
		key.inside = append(key.inside, &ticket)
		key.running++
		m.running++
	case m.all.MaxWaiting > 0 && m.waits() >= m.all.MaxWaiting:
		full := admission.Refusal{Reason: admission.AllQueue, Limit: m.all.MaxWaiting}
		require.Equal(m.t, full, ticket.Refusal)
	case limits.MaxWaiting > 0 && len(key.waiting) >= limits.MaxWaiting:
		full := admission.Refusal{Reason: admission.KeyQueue, Limit: limits.MaxWaiting}
		require.Equal(m.t, full, ticket.Refusal)
	default:
		require.True(m.t, ticket.Waiting(), "there is no room")
		key.waiting = append(key.waiting, &ticket)
	}
}

// release gives back the slot of a caller inside.
func (m *gateModel) release(k, n int) {
	key := &m.keys[k]
	if len(key.inside) == 0 {
		return
	}
	n %= len(key.inside)
	key.running--
	m.running--
	ticket := key.inside[n]
	key.inside = append(key.inside[:n], key.inside[n+1:]...)
	ticket.Release()
	ticket.Release()
}

// cancel removes one of the waiting callers from the queue.
func (m *gateModel) cancel(k, n int) {
	key := &m.keys[k]
	if len(key.waiting) == 0 {
		return
	}
	n %= len(key.waiting)
	ticket := key.waiting[n]
	key.waiting = append(key.waiting[:n], key.waiting[n+1:]...)
	require.Equal(m.t, admission.Gone, ticket.Wait(closed()).Reason)
}

// look finds out who was let in, and checks that against the rules.
func (m *gateModel) look(eligible [modelKeys]bool) {
	var granted [modelKeys]int
	for k := range m.keys {
		key := &m.keys[k]
		for len(key.waiting) > 0 && !key.waiting[0].Waiting() {
			key.inside = append(key.inside, key.waiting[0])
			key.waiting = key.waiting[1:]
			granted[k]++
			key.running++
			m.running++
		}
		for _, ticket := range key.waiting {
			require.True(m.t, ticket.Waiting(), "first come first served")
		}
		if limits := m.limits(k); granted[k] > 0 {
			require.True(m.t, limits.Max == 0 || key.running <= limits.Max, "the limit of a key")
			require.True(m.t, m.all.Max == 0 || m.running <= m.all.Max, "the limit of all")
		}
	}
	for k := range m.keys {
		key := &m.keys[k]
		if !eligible[k] || !m.eligible(k) || granted[k] > 0 {
			key.passed = [modelKeys]int{}
			continue
		}
		require.True(m.t, m.full(), "a slot is free, and a caller waits that may have it")
		for other := range m.keys {
			key.passed[other] += granted[other]
			require.LessOrEqual(m.t, key.passed[other], 1, "nobody gets two turns before others get one")
		}
	}
	running, waiting := m.gate.Counts()
	require.Equal(m.t, m.running, running)
	require.Equal(m.t, m.waits(), waiting)
}

// step does what two bytes say.
func (m *gateModel) step(what, how byte) {
	var eligible [modelKeys]bool
	for k := range m.keys {
		eligible[k] = m.eligible(k)
	}
	k, n := int(what>>3)%modelKeys, int(how)
	switch what % 8 {
	case 0, 1, 2:
		m.enter(k)
	case 3, 4:
		m.release(k, n)
	case 5:
		m.cancel(k, n)
	case 6:
		m.keys[k].caller.limits.Store(&admission.KeyLimits{Max: n % 4, MaxWaiting: n / 16})
		m.gate.SetLimits(m.all)
	case 7:
		m.all = admission.GateLimits{Max: n % 8, MaxWaiting: n / 16}
		m.gate.SetLimits(m.all)
	}
	m.look(eligible)
}

// end gives back all tickets.
func (m *gateModel) end(close bool) {
	if close {
		m.gate.Close()
	}
	for k := range m.keys {
		for _, ticket := range m.keys[k].waiting {
			if close {
				assert.Equal(m.t, admission.Closed, ticket.Wait(nil).Reason)
			}
			ticket.Release()
		}
		for _, ticket := range m.keys[k].inside {
			ticket.Release()
		}
	}
	for k := range m.keys {
		for _, ticket := range m.keys[k].waiting {
			ticket.Release()
		}
	}
	assertEmpty(m.t, m.gate)
}

// Whatever happens, no limit is exceeded, no slot is free while a caller waits that may have it,
// keys take turns, and callers of a key are served first come, first served. After that nothing is
// held.
func FuzzGate(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		steps := make([]byte, 400)
		for i := range steps {
			steps[i] = byte(random.Uint32())
		}
		f.Add(steps)
	}
	f.Fuzz(func(t *testing.T, steps []byte) {
		m := newGateModel(t)
		for ; len(steps) > 1; steps = steps[2:] {
			m.step(steps[0], steps[1])
		}
		m.end(len(steps) > 0 && steps[0]%2 == 0)
	})
}
