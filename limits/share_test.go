package limits_test

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// snapshots is a backend whose sessions search the messages that they saw at the last SELECT or
// Poll.
type snapshots struct {
	backend
	took     time.Duration
	mu       sync.Mutex
	messages uint32
}

type snapshotSession struct {
	backendSession
	store *snapshots
	seen  uint32
}

func (b *snapshots) count() uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.messages
}

func (b *snapshots) deliver() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages++
}

func (s *snapshotSession) Select(string, *imap.SelectOptions) (*imap.SelectData, error) {
	s.seen = s.store.count()
	return &imap.SelectData{UIDValidity: 1, UIDNext: imap.UID(s.seen) + 1, NumMessages: s.seen}, nil
}

func (s *snapshotSession) Poll(w *imapserver.UpdateWriter, _ bool) error {
	if now := s.store.count(); now > s.seen {
		s.seen = now
		return w.WriteNumMessages(now)
	}
	return nil
}

func (s *snapshotSession) Search(
	imapserver.NumKind, *imap.SearchCriteria, *imap.SearchOptions,
) (*imap.SearchData, error) {
	var found imap.UIDSet
	found.AddRange(1, imap.UID(s.seen))
	time.Sleep(s.store.took)
	return &imap.SearchData{All: found, Count: s.seen}, nil
}

// The answer of a session with its own snapshot must have each message that any client who shares
// the answer knows of.
func TestASharedAnswerIsUpToDateWhateverTheRunnerHasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &snapshots{took: 10 * time.Second, messages: 1}
		options := sharing()
		options.MaxSearchesPerUser = 1
		s := serveSessions(t, &b.backend,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return &snapshotSession{backendSession: backendSession{backend: &b.backend}, store: b}, nil, nil
			}, options)
		busy, first, second := s.selected("karen"), s.selected("karen"), s.selected("karen")
		busy.Send("x UID SEARCH SEEN")
		synctest.Wait()
		first.Send("x UID SEARCH ALL")
		synctest.Wait()
		b.deliver()
		assert.Equal(t, []string{"* 2 EXISTS", "n OK NOOP completed"}, second.Cmd("n NOOP"))
		second.Send("x UID SEARCH ALL")
		synctest.Wait()
		s.commandsInUse(limits.Stats{Searches: 1, SearchesWaiting: 1, SearchesJoined: 1})
		for name, c := range map[string]*imaptest.Conn{"first": first, "second": second} {
			answer := c.Answer("x")
			assert.Contains(t, answer, "* SEARCH 1 2", name)
			assert.True(t, imaptest.IsOK(answer))
		}
		assert.Equal(t, []string{"n OK NOOP completed"}, first.Cmd("n NOOP"), "it was told before")
	})
}

// Without sharing, equal SEARCHes run one after another, so that they cannot pile up. An exempt
// client does not wait for its own SEARCHes.
func TestEqualSearchesThatAreNotSharedRunOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{took: 5 * time.Second}
		options := sharing()
		options.ShareSearches = false
		options.Exempt = []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")}
		s := serveFinder(t, f, options)
		var repeats []*imaptest.Conn
		for range 4 {
			c := s.selected("karen")
			c.Send("x UID SEARCH SEEN")
			synctest.Wait()
			repeats = append(repeats, c)
		}
		s.selected("karen").Send("x UID SEARCH UNSEEN")
		synctest.Wait()
		s.commandsInUse(limits.Stats{Searches: 2, SearchesJoined: 3})
		exempt, _ := s.login("192.0.2.9", "karen")
		exempt.Cmd("s SELECT INBOX")
		exempt.Send("x UID SEARCH SEEN")
		synctest.Wait()
		s.commandsInUse(limits.Stats{Searches: 3, SearchesJoined: 3})
		start := time.Now()
		for i, number := range []string{"1", "4", "5", "6"} {
			answer := repeats[i].Answer("x")
			assert.Equal(t, "* SEARCH "+number, answer[0])
			assert.True(t, imaptest.IsOK(answer))
			assert.Equal(t, time.Duration(i+1)*5*time.Second, time.Since(start))
		}
		time.Sleep(time.Minute)
		s.commandsInUse(limits.Stats{})
	})
}

// Even with sharing, the searches of an exempt client wait for nothing, also not for an equal one
// in the queue.
func TestSearchesOfExemptClientsAreNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := sharing()
		options.MaxSearchesPerUser = 1
		options.Exempt = []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")}
		s := serveFinder(t, &finder{took: 5 * time.Second}, options)
		for _, search := range []string{"x UID SEARCH ALL", "x UID SEARCH SEEN"} {
			s.selected("karen").Send(search)
			synctest.Wait()
		}
		s.commandsInUse(limits.Stats{Searches: 1, SearchesWaiting: 1})
		exempt, _ := s.login("192.0.2.9", "karen")
		exempt.Cmd("s SELECT INBOX")
		start := time.Now()
		exempt.Send("x UID SEARCH SEEN")
		synctest.Wait()
		s.commandsInUse(limits.Stats{Searches: 2, SearchesWaiting: 1})
		assert.True(t, imaptest.IsOK(exempt.Answer("x")))
		assert.Equal(t, 5*time.Second, time.Since(start))
		time.Sleep(time.Minute)
		s.commandsInUse(limits.Stats{})
	})
}

// A backend may decide by the server's address or TLS name whose mail a login name means.
func TestSearchesByOtherWaysInAreNotShared(t *testing.T) {
	release := make(chan struct{})
	b := &backend{search: func(string) error {
		<-release
		return nil
	}}
	defer close(release)
	limiter := limits.New(&limits.Options{ShareSearches: true})
	server := imapserver.New(&imapserver.Options{
		NewSession: limiter.Wrap(b.NewSession), TLSConfig: imaptest.ServerTLS(), InsecureAuth: true,
	})
	t.Cleanup(func() { server.Close() })
	listen := func(address string) string {
		listener, err := net.Listen("tcp", address)
		require.NoError(t, err)
		go server.Serve(tls.NewListener(listener, imaptest.ServerTLS()))
		return listener.Addr().String()
	}
	search := func(address, serverName string) {
		config := &tls.Config{ServerName: serverName, InsecureSkipVerify: true}
		conn, err := tls.Dial("tcp", address, config)
		require.NoError(t, err)
		c := imaptest.NewConn(t, conn)
		c.Line()
		c.Cmd("a LOGIN info pass")
		c.Cmd("b SELECT INBOX")
		c.Send("x UID SEARCH SEEN")
	}
	one, other := listen("127.0.0.1:0"), listen("127.0.0.1:0")
	search(one, "a.example")
	search(one, "b.example")
	search(other, "a.example")
	running := func(n int) {
		require.Eventually(t, func() bool {
			return limiter.Stats().Searches == n
		}, 10*time.Second, time.Millisecond)
	}
	running(3)
	search(one, "a.example")
	search(one, "a.example")
	require.Eventually(t, func() bool {
		return limiter.Stats().SearchesJoined == 1
	}, 10*time.Second, time.Millisecond)
	running(3)
}

// Clients that share an answer wait by the limits of the first one, even by those that it no longer
// has.
func TestASharedSearchWaitsByTheLimitsOfTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := sharing()
		options.LimitsFor = func(c limits.Client) limits.ClientLimits {
			if c.Addr == netip.MustParseAddr("192.0.2.1") {
				c.Limits.MaxSearchesPerUser = 1
			}
			return c.Limits
		}
		s := serveFinder(t, &finder{took: 20 * time.Second}, options)
		selected := func(address string) *imaptest.Conn {
			c, _ := s.login(address, "karen")
			c.Cmd("s SELECT INBOX")
			return c
		}
		busy, first, second := selected("192.0.2.1"), selected("192.0.2.1"), selected("192.0.2.2")
		start := time.Now()
		busy.Send("x UID SEARCH SEEN")
		synctest.Wait()
		first.Send("x UID SEARCH ALL")
		synctest.Wait()
		second.Send("x UID SEARCH ALL") // could run by itself
		synctest.Wait()
		s.commandsInUse(limits.Stats{Searches: 1, SearchesWaiting: 1, SearchesJoined: 1})
		for _, c := range []*imaptest.Conn{busy, first, second} {
			assert.True(t, imaptest.IsOK(c.Answer("x")))
		}
		assert.Equal(t, 40*time.Second, time.Since(start))

		// When the first one is gone, the limits of the next one hold, as soon as they change.
		start = time.Now()
		busy.Send("x UID SEARCH SEEN")
		synctest.Wait()
		first.Send("x UID SEARCH ALL")
		synctest.Wait()
		second.Send("x UID SEARCH ALL")
		synctest.Wait()
		assert.True(t, s.limiter.Disconnect(s.limiter.Sessions()[1].ID, "bye"))
		synctest.Wait()
		s.commandsInUse(limits.Stats{Searches: 1, SearchesWaiting: 1})
		require.NoError(t, s.limiter.SetOptions(options))
		s.commandsInUse(limits.Stats{Searches: 2})
		assert.True(t, imaptest.IsOK(second.Answer("x")))
		assert.Equal(t, 20*time.Second, time.Since(start))
		assert.True(t, imaptest.IsOK(busy.Answer("x")))
	})
}

// newsy is a session with news for its client.
type newsy struct {
	backendSession
	news int
}

func (s *newsy) Poll(w *imapserver.UpdateWriter, _ bool) error {
	for ; s.news > 0; s.news-- {
		if err := w.WriteNumMessages(1); err != nil {
			return err
		}
	}
	return nil
}

// A client that does not read the news before its SEARCH has the 30 s that go-imap gives it for a
// response. Then it is cut off, and the others get the answer that they share.
func TestTheNewsBeforeASearchDoNotWaitForAClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{search: newWork(time.Second).do}
		options := sharing()
		options.JoinRunning = true
		news := []int{10_000, 0} // of the two sessions
		s := serveSessions(t, b,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				session := &newsy{backendSession{backend: b}, news[0]}
				news = news[1:]
				return session, nil, nil
			}, options)
		first, second := s.selected("karen"), s.selected("karen")
		first.Send("x UID SEARCH ALL")
		synctest.Wait()
		second.Send("x UID SEARCH ALL")
		assert.Equal(t, 31*time.Second, elapsed(func() {
			assert.True(t, imaptest.IsOK(second.Answer("x")))
		}))
		said := first.Rest()
		assert.Equal(t, "* 1 EXISTS", said[0])
		assert.Less(t, len(said), 10_000)
		assert.NotContains(t, said[len(said)-1], "NO", "within a line")
		assert.EqualValues(t, 1, b.searches.Load())
	})
}

// Whoever runs a SEARCH does not repeat it for itself when its own client has failed it: where
// sockets cannot tell of a hang-up, it would do so for ever.
func TestAClientThatDoesNotReadTheNewsGetsNoSecondSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serveSessions(t, b,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return &newsy{backendSession{backend: b}, 10_000}, nil, nil
			}, sharing())
		c := s.selected("karen")
		c.Send("x UID SEARCH ALL")
		time.Sleep(30 * time.Second)
		synctest.Wait() // never returns if the session goes on
		assert.Zero(t, b.searches.Load())
	})
}

// recent is a session whose Poll tells of a recent message.
type recent struct{ backendSession }

func (s *recent) Poll(w *imapserver.UpdateWriter, _ bool) error { return w.WriteNumRecent(1) }

// IMAP4rev2 has no RECENT, and a client that has enabled it reads none before its SEARCH either.
func TestTheNewsBeforeASearchHaveNoRecentInIMAP4rev2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serveSessions(t, b,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return &recent{backendSession{backend: b}}, nil, nil
			}, sharing())
		c := s.selected("karen")
		assert.Equal(t, []string{"* 1 RECENT", "* SEARCH", "* 1 RECENT"}, c.Cmd("a UID SEARCH ALL")[:3])
		c.Cmd("b ENABLE IMAP4rev2")
		answer := c.Cmd("c UID SEARCH ALL")
		assert.Len(t, answer, 2)
		assert.Contains(t, answer[0], "* ESEARCH")
	})
}
