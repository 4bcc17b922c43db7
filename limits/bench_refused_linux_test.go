package limits

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/socket"
)

// The cost of a refused login by the number of its user's sessions, and how long logins of other
// users take meanwhile. 50 clients log in again and again, over TCP.
//
//	go test -run '^$' -bench RefusedLogins -benchtime 1x ./limits
func BenchmarkRefusedLogins(b *testing.B) {
	for _, sessions := range []int{20, 500, 5000, 10_000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			for b.Loop() {
				benchmarkRefusedLogins(b, sessions)
			}
		})
	}
}

func benchmarkRefusedLogins(b *testing.B, sessions int) {
	const window = 2 * time.Second
	limiter := New(&Options{MaxLoginsPerUser: sessions, EvictIdle: time.Hour})
	defer loggedIn(b, limiter, "karen", sessions)()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := imapserver.New(&imapserver.Options{
		NewSession: limiter.Wrap(
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return imaptest.Stub{}, nil, nil
			},
		),
		InsecureAuth: true,
		Logger:       log.New(io.Discard, "", 0),
	})
	go server.Serve(listener)
	defer server.Close()
	login := func(user, answer string) time.Duration {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			b.Error(err)
			return 0
		}
		defer conn.Close()
		c := imaptest.NewConn(b, conn)
		c.Line()
		start := time.Now()
		if got := imaptest.Last(c.Cmd("a LOGIN " + user + " pass")); !strings.HasPrefix(got, answer) {
			b.Errorf("login of %s: %s", user, got)
		}
		return time.Since(start)
	}

	var refused atomic.Int64
	var over atomic.Bool
	var all sync.WaitGroup
	before := cpuTime(b)
	for range 50 {
		all.Go(func() {
			for !over.Load() {
				login("karen", "NO [LIMIT]")
				refused.Add(1)
			}
		})
	}
	var took []time.Duration
	for start := time.Now(); time.Since(start) < window; {
		took = append(took, login("bob", "OK"))
	}
	over.Store(true)
	all.Wait()
	used := cpuTime(b) - before
	slices.Sort(took)
	b.ReportMetric(float64(refused.Load())/window.Seconds(), "refusals/s")
	b.ReportMetric(float64(used.Microseconds())/float64(refused.Load()), "cpu-µs/refusal")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50-others")
	b.ReportMetric(float64(took[len(took)*9/10].Microseconds())/1000, "ms-p90-others")
	b.ReportMetric(0, "ns/op")
}

// loggedIn logs in that many sessions of the user, from the address of the benchmark, and returns a
// function that logs them out. All share one socket; it is asked once for each session.
func loggedIn(b *testing.B, limiter *Limiter, user string, sessions int) (leave func()) {
	shared := connectedSocket(b)
	all := make([]*session, sessions)
	for i := range all {
		s := fakeSession(limiter, user, netip.MustParseAddr("127.0.0.1"), shared)
		attempt := limiter.logins.Ask(s.loginCaller(user))
		in, _, refused := attempt.Admit(user, s)
		if refused.Is() {
			b.Fatal(refused)
		}
		attempt.End()
		s.login, all[i] = in, s
	}
	return func() {
		for _, s := range all {
			limiter.logins.Leave(s.login)
		}
	}
}

// fakeSession returns a session that has what the limiter counts, but no connection.
func fakeSession(limiter *Limiter, user string, addr netip.Addr, asks *socket.Socket) *session {
	s := &session{}
	s.id = limiter.lastID.Add(1)
	s.limiter, s.addr, s.ip, s.socket = limiter, addr, network(addr), asks
	s.user, s.turn = user, limiter.keys.Hold("user "+user)
	s.identity.Store(&identity{user: user})
	s.limits.Store(limiter.settings.Load().everybody)
	s.activity.finish()
	return s
}

// connectedSocket returns a socket whose client stays connected until the benchmark is over.
func connectedSocket(b *testing.B) *socket.Socket {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	dialed, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		conn.Close()
		dialed.Close()
	})
	return socket.Of(conn)
}
