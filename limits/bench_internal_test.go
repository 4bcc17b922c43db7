package limits

import (
	"fmt"
	"net/netip"
	"testing"
)

// The memory that the limiter holds for each user with one session when a million are logged in, each from an address of its own, and
// after all have left.
//
//	go test -run '^$' -bench MillionUsers -benchtime 1x ./limits
func BenchmarkMillionUsers(b *testing.B) {
	const users = 1_000_000
	for b.Loop() {
		limiter := New(DefaultOptions())
		releases := make([]func(), users)
		before := heap()
		for i := range users {
			ip := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
			user := foldUser(fmt.Sprintf("user%07d@example.com", i))
			attempt, refusal := limiter.logins.begin(loginKey{user, ip}, nil)
			if refusal != nil {
				b.Fatal(refusal)
			}
			release, refusal := attempt.admit(user)
			if refusal != nil {
				b.Fatal(refusal)
			}
			attempt.end()
			releases[i] = release
		}
		inside := heap()
		for i, release := range releases {
			release()
			releases[i] = nil
		}
		after := heap()
		b.ReportMetric(float64(inside-before)/users, "B/user-inside")
		b.ReportMetric(float64(max(after, before)-before)/users, "B/user-after")
		if stats := limiter.Stats(); stats != (Stats{}) {
			b.Fatal(stats)
		}
	}
}
