package limits

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/fold"
)

// What the most expensive LIST that DefaultOptions allow costs in go-imap's matcher, over 1,000
// mailboxes. Their names have 100 letters, or 100 characters that are the delimiter of other
// servers.
//
//	go test -run '^$' -bench WorstList -benchtime 20x ./limits
func BenchmarkWorstList(b *testing.B) {
	most := DefaultOptions()
	for name, pattern := range map[string]string{
		"%b": "%b", "*b": "*b", "%b*": "%b*", "*b*": "*b*", "%/%": "%/%", "%/b": "%/b",
		"%/*": "%/*", "%/%b": "%/%b", "%.%b": "%.%b",
		"%aaaab":          "%" + strings.Repeat("a", maxTail/most.MaxListWildcards-1) + "b",
		"%aaab and a * 3": "%" + strings.Repeat("a", maxTail/3-2) + "b*",
		"%////b and a %":  "%" + strings.Repeat("/", maxTail/3-3) + "%b",
	} {
		for _, letters := range []string{"a", "/", "/a", "."} {
			b.Run(name+" for "+letters, func(b *testing.B) {
				mailbox := strings.Repeat(letters, 100/len(letters))
				worst, longest := 0, 0.0
				for _, delimiter := range delimiters {
					patterns := asManyAsPass(pattern, string(delimiter), most)
					var took time.Duration
					for range b.N {
						start := time.Now()
						for range 1000 {
							for _, pattern := range patterns {
								imapserver.MatchList(mailbox, delimiter, "", pattern)
							}
						}
						took += time.Since(start)
					}
					if ms := float64(took.Microseconds()) / 1000 / float64(b.N); ms > longest {
						worst, longest = len(patterns), ms
					}
				}
				b.ReportMetric(longest, "ms/LIST")
				b.ReportMetric(float64(worst), "patterns")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// asManyAsPass returns the pattern as many times as a LIST may have it, at a backend with the
// delimiter.
func asManyAsPass(pattern, delimiter string, most *Options) (patterns []string) {
	for {
		more := append(slices.Clone(patterns), pattern)
		_, effort := foldAll(more, delimiter)
		if effort.hard || effort.wildcards > most.MaxListWildcards || len(more) > most.MaxListPatterns {
			return patterns
		}
		patterns = more
	}
}

// The memory that the limiter needs for each user with one session, when a million users are logged
// in, each from another address, and after all of them have logged out.
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
