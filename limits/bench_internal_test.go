package limits

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/imapgate/imapgate/internal/fold"
)

// The memory that the limiter holds for each user with one session when a million are logged in,
// each from an address of its own, and after all have left.
//
//	go test -run '^$' -bench MillionUsers -benchtime 1x ./limits
func BenchmarkMillionUsers(b *testing.B) {
	const users = 1_000_000
	for b.Loop() {
		limiter := New(DefaultOptions())
		sessions := make([]*session, users)
		before := heap()
		for i := range users {
			ip := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
			user := fold.Username(fmt.Sprintf("user%07d@example.com", i))
			s := &session{}
			s.client.limiter, s.addr, s.ip = limiter, ip.Addr(), ip
			s.limits.Store(limiter.settings.Load().everybody)
			attempt := limiter.logins.Ask(s.loginCaller(user))
			in, _, refused := attempt.Admit(user, s)
			if refused.Is() {
				b.Fatal(refused)
			}
			s.login = in
			attempt.End()
			sessions[i] = s
		}
		inside := heap()
		for i, s := range sessions {
			limiter.logins.Leave(s.login)
			sessions[i] = nil
		}
		after := heap()
		b.ReportMetric(float64(inside-before)/users, "B/user-inside")
		b.ReportMetric(float64(max(after, before)-before)/users, "B/user-after")
		if stats := limiter.Stats(); stats != (Stats{}) {
			b.Fatal(stats)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
