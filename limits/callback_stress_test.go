package limits_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/limits"
)

// breaking panics or sleeps at random, in every callback that the program can have.
type breaking struct {
	mu     sync.Mutex
	random *rand.Rand
	off    bool
}

func (b *breaking) pick(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.random.IntN(n)
}

func (b *breaking) maybe(name string) {
	b.mu.Lock()
	n, off := b.random.IntN(40), b.off
	b.mu.Unlock()
	switch {
	case off:
	case n == 0:
		panic(name + " is broken")
	case n < 4:
		time.Sleep(time.Duration(n) * 300 * time.Millisecond)
	}
}

// breakingStore is a cluster that breaks.
type breakingStore struct {
	guessStore
	breaking *breaking
}

type breakingLease struct {
	*storeLease
	breaking *breaking
}

func (s *breakingStore) Acquire(login limits.ClusterLogin) (limits.ClusterLease, error) {
	s.breaking.maybe("Acquire")
	for i, older := range login.Replaces {
		older.Release()
		login.Replaces[i] = older.(*breakingLease).storeLease
	}
	held, err := s.guessStore.Acquire(login)
	if held == nil {
		return nil, err
	}
	return &breakingLease{held.(*storeLease), s.breaking}, err
}

func (l *breakingLease) Release() {
	l.storeLease.Release()
	l.breaking.maybe("Release")
}

func (b *breaking) options(cluster limits.Cluster) *limits.Options {
	o := &limits.Options{
		MaxConnections: b.pick(30), MaxConnectionsPerIP: b.pick(12), MaxLoginsPerUser: b.pick(5),
		MaxLoginsPerIP: b.pick(12), MaxFailedLogins: b.pick(3), MaxLoginChecks: b.pick(4),
		MaxLoginChecksPerIP: b.pick(3), MaxGuessDelay: time.Duration(b.pick(3)) * 4 * time.Second,
		MaxFetches: b.pick(4), MaxFetchesPerUser: b.pick(3), MaxSearches: b.pick(4),
		MaxSearchesPerUser: b.pick(3), MaxCommands: b.pick(4), MaxCommandsPerUser: b.pick(3),
		FetchQueueTimeout:   time.Duration(b.pick(3)) * time.Second,
		SearchQueueTimeout:  time.Duration(b.pick(3)) * time.Second,
		CommandQueueTimeout: time.Duration(b.pick(3)) * time.Second,
		MaxWaiting:          b.pick(6), MaxWaitingPerUser: b.pick(4),
		EvictIdle:        time.Duration(b.pick(3)) * 2 * time.Second,
		LoginTimeout:     time.Duration(b.pick(2)) * 8 * time.Second,
		ProgressInterval: time.Duration(b.pick(2)) * time.Second,
		ShareSearches:    b.pick(2) == 0, DryRun: b.pick(5) == 0,
		LimitsFor: func(c limits.Client) limits.ClientLimits { b.maybe("LimitsFor"); return c.Limits },
		OnEvent:   func(limits.Event) { b.maybe("OnEvent") },
		UserKey:   func(name string) string { b.maybe("UserKey"); return name },
		IPKey: func(addr netip.Addr) netip.Prefix {
			b.maybe("IPKey")
			return netip.PrefixFrom(addr, addr.BitLen())
		},
		Username: func(imapserver.Session) string { b.maybe("Username"); return "" },
	}
	o.JoinRunning = o.ShareSearches && b.pick(2) == 0
	if b.pick(4) == 0 {
		o.Exempt = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	}
	if b.pick(4) > 0 {
		o.Cluster = cluster
	}
	return o
}

// Every function that the program gives to a limiter panics at times, while the options change and
// sessions are ended. In the end all counts are zero, and the backend's sessions are closed. The
// number of a test is its seed.
func TestNothingIsKeptWhateverBreaks(t *testing.T) {
	for range 5 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { breakEverything(t, seed) })
		})
	}
}

func breakEverything(t *testing.T, seed uint64) {
	b := &breaking{random: rand.New(rand.NewPCG(seed, 1))}
	cluster := &breakingStore{breaking: b}
	back := b.backend()
	newSession := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		b.maybe("NewSession")
		var greeting *imapserver.GreetingData
		if b.pick(8) == 0 {
			greeting = &imapserver.GreetingData{PreAuth: true}
		}
		back.connections.Add(1)
		return unauthenticating{&backendSession{backend: back}}, greeting, nil
	}
	s := serveSessions(t, back, newSession, &limits.Options{})
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			for range 4 {
				s.misbehave(b)
			}
		})
	}
	all.Go(func() {
		for range 30 {
			time.Sleep(time.Duration(b.pick(4)) * 250 * time.Millisecond)
			s.administer(b, cluster)
		}
	})
	all.Wait()
	b.mu.Lock()
	b.off = true
	b.mu.Unlock()
	time.Sleep(time.Hour)
	s.Server.Close()
	synctest.Wait()
	s.inUse(limits.Stats{})
	assert.Empty(t, cluster.all())
	assert.Equal(t, back.connections.Load(), back.closes.Load(), "sessions of the backend")
}

// backend returns a backend that breaks, too.
func (b *breaking) backend() *backend {
	work := func(string) error {
		time.Sleep(time.Duration(b.pick(3)) * time.Second)
		b.maybe("backend")
		return nil
	}
	login := func(_, password string) error {
		time.Sleep(time.Duration(b.pick(3)) * time.Second / 2)
		b.maybe("Login")
		if password != "pass" {
			return imapserver.ErrAuthFailed
		}
		return nil
	}
	end := func() error {
		b.maybe("Close")
		return nil
	}
	return &backend{fetch: work, search: work, status: work, login: login, close: end}
}

// administer changes the options, or ends a session.
func (s *server) administer(b *breaking, cluster limits.Cluster) {
	defer func() { recover() }()
	switch b.pick(3) {
	case 0:
		if sessions := s.limiter.Sessions(); len(sessions) > 0 {
			s.limiter.Disconnect(sessions[b.pick(len(sessions))].ID, "bye")
		}
	default:
		s.limiter.SetOptions(b.options(cluster))
	}
}

// misbehave is a connection that sends commands without waiting for their answers.
func (s *server) misbehave(b *breaking) {
	conn := s.DialFrom(fmt.Sprint("192.0.2.", 1+b.pick(3)))
	defer conn.Close()
	go io.Copy(io.Discard, conn)
	for i := range 8 {
		login := "LOGIN " + []string{"karen", "bob", "eve"}[b.pick(3)]
		commands := []string{
			login + " pass", login + " wrong" + fmt.Sprint(b.pick(4)), "SELECT INBOX", "FETCH 1 FLAGS",
			"UID SEARCH ALL", "UID SEARCH UNSEEN", "SEARCH ALL", "STATUS INBOX (MESSAGES)", "NOOP",
			"UNAUTHENTICATE", "LOGOUT",
		}
		n := b.pick(len(commands))
		if i == 0 {
			n = 0
		}
		if _, err := fmt.Fprintf(conn, "a%d %s\r\n", i, commands[n]); err != nil {
			return
		}
		time.Sleep(time.Duration(b.pick(3)) * 500 * time.Millisecond)
	}
	if b.pick(2) == 0 {
		time.Sleep(time.Duration(b.pick(60)) * time.Second)
	}
}
