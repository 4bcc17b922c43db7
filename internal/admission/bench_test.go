package admission_test

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/imapgate/imapgate/internal/admission"
)

// One slot is taken and given back while nobody waits, with a number of other keys inside; then the
// same in parallel.
//
//	go test -run '^$' -bench . -benchmem ./internal/admission
func BenchmarkGate(b *testing.B) {
	b.Run("semaphore", func(b *testing.B) { // for comparison; it has no keys
		s := semaphore.NewWeighted(1000)
		b.ReportAllocs()
		for b.Loop() {
			s.Acquire(b.Context(), 1)
			s.Release(1)
		}
	})
	for _, keys := range []int{1, 100, 10_000} {
		g := newGate(admission.GateLimits{Max: 100_000, Timeout: time.Minute})
		c := newCaller(admission.KeyLimits{Max: 1000})
		for i := range keys - 1 {
			ticket := g.Enter(key(g, fmt.Sprintf("user%07d", i)), c)
			b.Cleanup(ticket.Release)
		}
		karen := key(g, "karen")
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ticket := g.Enter(karen, c)
				ticket.Release()
			}
		})
		b.Run(fmt.Sprintf("keys=%d/parallel", keys), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ticket := g.Enter(karen, c)
					ticket.Release()
				}
			})
		})
	}
}

// One slot passes from caller to caller, while a number of them wait for it.
func BenchmarkGateTurns(b *testing.B) {
	for _, waiting := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			g := newGate(admission.GateLimits{Max: 1})
			tickets := make([]admission.Ticket, waiting+1)
			users := make([]*admission.Key, waiting+1)
			for i := range tickets {
				users[i] = key(g, fmt.Sprintf("user%07d", i))
				tickets[i] = g.Enter(users[i], anyone)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i = (i + 1) % len(tickets) {
				tickets[i].Release()
				tickets[i] = g.Enter(users[i], anyone)
			}
		})
	}
}

// A caller gives up its place in the queue, while a number of others wait.
func BenchmarkGateCancel(b *testing.B) {
	for _, waiting := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			g := newGate(admission.GateLimits{Max: 1})
			tickets := make([]admission.Ticket, waiting+1)
			for i := range tickets {
				tickets[i] = g.Enter(key(g, fmt.Sprintf("user%07d", i)), anyone)
			}
			karen := key(g, "karen")
			b.ReportAllocs()
			for b.Loop() {
				ticket := g.Enter(karen, anyone)
				ticket.Release()
			}
		})
	}
}

func BenchmarkCounter(b *testing.B) {
	var c admission.Counter[string]
	b.ReportAllocs()
	for b.Loop() {
		release, _ := c.Acquire("karen", admission.CounterLimits{Key: 10, All: 100})
		release()
	}
}

// A session logs in and out, beside a number of sessions of other users.
func BenchmarkLogins(b *testing.B) {
	for _, users := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			l := &logins{Timeout: time.Minute}
			logInOnce := func(user string) *login {
				c := &client{user, home, admission.LoginLimits{User: 20, OneByOne: true}, nil}
				a := l.Ask(c.caller())
				in, _, _ := a.Admit(user, "")
				a.End()
				return in
			}
			for i := range users - 1 {
				logInOnce(fmt.Sprintf("user%07d", i))
			}
			b.ReportAllocs()
			for b.Loop() {
				l.Leave(logInOnce("karen"))
			}
		})
	}
}

// A login is refused, and its user has a number of sessions.
func BenchmarkRefusedLogin(b *testing.B) {
	for _, sessions := range []int{20, 10_000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			l := &logins{Timeout: time.Minute}
			for range sessions {
				a := l.Ask(karen(sessions).caller())
				a.Admit("karen", "")
				a.End()
			}
			caller := karen(sessions).caller()
			b.ReportAllocs()
			for b.Loop() {
				if a := l.Ask(caller); a.Refusal.Reason != admission.UserFull {
					b.Fatal(a.Refusal)
				}
			}
		})
	}
}

// Work that nobody shares, and work that a number of callers share.
func BenchmarkFlights(b *testing.B) {
	for _, joined := range []int{0, 10} {
		b.Run(fmt.Sprintf("joined=%d", joined), func(b *testing.B) {
			f := newFlights(admission.GateLimits{})
			karen := key(f.Gate, "karen")
			var first part
			parts := make([]part, joined)
			b.ReportAllocs()
			for b.Loop() {
				first.Join(f, "a", karen, anyone, admission.JoinRunning, time.Time{})
				for i := range parts {
					parts[i].Join(f, "a", karen, anyone, admission.JoinRunning, time.Time{})
				}
				first.Run(finds42)
				first.Answer()
				for i := range parts {
					parts[i].Wait(nil, nil)
					parts[i].Answer()
				}
			}
		})
	}
}
