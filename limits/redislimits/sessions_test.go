package redislimits_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/limits/redislimits"
)

const noUserLogins = "NO [LIMIT] Too many logins for this user"

// server is an IMAP server that counts its logins in Redis.
type server struct {
	*imaptest.Server
	t       testing.TB
	cluster *redislimits.Cluster
	limiter *limits.Limiter
}

func serve(t testing.TB, o *redislimits.Options, limit limits.Options) *server {
	s := &server{t: t, cluster: newNode(t, o)}
	limit.Cluster = s.cluster
	s.limiter = limits.New(&limit)
	s.Server = serveLimiter(t, s.limiter)
	return s
}

func serveLimiter(t testing.TB, l *limits.Limiter) *imaptest.Server {
	backend := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return stub{}, nil, nil
	}
	return imaptest.NewServer(t, &imapserver.Options{
		NewSession: l.Wrap(backend), InsecureAuth: true, Caps: imap.CapSet{imap.CapIMAP4rev1: {}},
	})
}

// stub is a backend session that accepts one password.
type stub struct{ imaptest.Stub }

func (stub) Login(_, password string) error {
	if password != "pass" {
		return imapserver.ErrAuthFailed
	}
	return nil
}

// login connects, logs in, and returns the connection and the answer.
func (s *server) login(user string) (*imaptest.Conn, string) {
	c := imaptest.NewConn(s.t, s.DialFrom("192.0.2.1"))
	c.Line()
	return c, imaptest.Last(c.Cmd("a LOGIN " + user + " pass"))
}

func TestClientsReadTheLimitOfAllNodes(t *testing.T) {
	r := startRedis(t)
	limit := limits.Options{MaxLoginsPerUser: 2}
	one, two := serve(t, options(r.address()), limit), serve(t, options(r.address()), limit)
	first, answer := one.login("karen")
	assert.Contains(t, answer, "OK")
	_, answer = two.login("Karen")
	assert.Contains(t, answer, "OK")
	third, answer := two.login("karen")
	assert.Equal(t, noUserLogins, answer)
	assert.Equal(t, []string{"* BYE [LIMIT] Too many logins for this user"}, third.Rest())
	assert.Equal(t, 1, two.limiter.Stats().Cluster.Leases)

	first.Cmd("b LOGOUT")
	client := r.client()
	eventually(t, "the place is free", func() bool { return count(t, client, "karen") == 1 })
	_, answer = two.login("karen")
	assert.Contains(t, answer, "OK")
}

// However many clients of two or three servers log in at once, as many as the limit get in.
func TestRacingServersNeverExceedTheLimit(t *testing.T) {
	for nodes := 2; nodes <= 3; nodes++ {
		r := startRedis(t)
		var in, refused atomic.Int64
		var all sync.WaitGroup
		for range nodes {
			s := serve(t, options(r.address()), limits.Options{MaxLoginsPerUser: 10})
			for client := range 20 {
				all.Go(func() {
					c := imaptest.NewConn(t, s.DialFrom(fmt.Sprintf("192.0.2.%d", client)))
					c.Line()
					answer := imaptest.Last(c.Cmd("a LOGIN karen pass"))
					switch {
					case strings.HasPrefix(answer, "OK"):
						in.Add(1)
					case assert.Equal(t, noUserLogins, answer):
						refused.Add(1)
					}
				})
			}
		}
		all.Wait()
		assert.EqualValues(t, 10, in.Load())
		assert.EqualValues(t, 20*nodes-10, refused.Load())
		assert.Equal(t, 10, count(t, r.client(), "karen"))
	}
}

// Without the right password, no key has the name, and nobody learns the state of Redis.
func TestAStrangerLeavesNothingInRedis(t *testing.T) {
	r := startRedis(t)
	s := serve(t, options(r.address()), limits.Options{MaxLoginsPerUser: 2})
	s.login("bob")
	c := imaptest.NewConn(t, s.DialFrom("192.0.2.1"))
	c.Line()
	for range 3 {
		answer := imaptest.Last(c.Cmd("a LOGIN karen wrong"))
		assert.Equal(t, "NO [AUTHENTICATIONFAILED] Authentication failed", answer)
	}
	assertKeys(t, r.client(), "karen")
	assert.EqualValues(t, 1, s.cluster.Stats().Leases)
}

func TestSessionsOfAllNodes(t *testing.T) {
	r := startRedis(t)
	node := func(name string) *server {
		o := short(r.address())
		o.Node = name
		return serve(t, o, limits.Options{MaxLoginsPerUser: 5})
	}
	mx1, mx2 := node("mx1"), node("mx2")
	mx1.login("bob")
	karen, _ := mx2.login("karen")
	idle, _ := mx2.login("karen")
	idle.Send("i IDLE")
	var all []redislimits.Session
	eventually(t, "what a session does is seen when its lease is renewed", func() bool {
		var err error
		all, err = mx1.cluster.Sessions(t.Context())
		require.NoError(t, err)
		return len(all) == 3 && all[2].Command == "IDLE"
	})
	for i, want := range []struct{ node, user string }{
		{"mx1", "bob"}, {"mx2", "karen"}, {"mx2", "karen"},
	} {
		assert.Equal(t, want.node, all[i].Node)
		assert.Equal(t, want.user, all[i].User)
		assert.Equal(t, netip.MustParseAddr("192.0.2.1"), all[i].Addr.Addr())
		assert.True(t, all[i].LoggedIn)
		assert.WithinDuration(t, time.Now(), all[i].Connected, time.Minute)
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var found bool
	eventually(t, "mx2 listens", func() bool {
		var err error
		found, err = mx1.cluster.Disconnect(ctx, "mx2", all[1].ID, "See you\r\nlater")
		return err == nil
	})
	assert.True(t, found)
	assert.Equal(t, []string{"* BYE See you  later"}, karen.Rest())
	found, err := mx1.cluster.Disconnect(ctx, "mx2", 12345, "nobody")
	assert.NoError(t, err)
	assert.False(t, found)
	eventually(t, "it is gone from the list", func() bool {
		all, err := mx2.cluster.Sessions(t.Context())
		return err == nil && len(all) == 2
	})

	eventually(t, "Redis is asked in time, and no node answers", func() bool {
		little, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := mx1.cluster.Disconnect(little, "mx3", 1, "nobody")
		require.Error(t, err)
		return err.Error() == `redislimits: node "mx3" does not answer`
	})
}

// Someone who can write to Redis but does not know the secret cannot end sessions.
func TestOrdersNeedTheSecret(t *testing.T) {
	r := startRedis(t)
	o := options(r.address())
	o.Node, o.Secret = "mx1", []byte("0123456789abcdef")
	s := serve(t, o, limits.Options{MaxLoginsPerUser: 5})
	c, _ := s.login("karen")
	id := s.limiter.Sessions()[0].ID
	for _, secret := range []string{"", "another secret of one"} {
		other := options(r.address())
		other.Node, other.Secret = "mx2", []byte(secret)
		little, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := newNode(t, other).Disconnect(little, "mx1", id, "Bye")
		cancel()
		assert.Error(t, err)
	}
	assert.True(t, imaptest.IsOK(c.Cmd("n NOOP")))
	o.Node = "mx2"
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	found, err := newNode(t, o).Disconnect(ctx, "mx1", id, "Bye")
	assert.NoError(t, err)
	assert.True(t, found)
}

// A neighbour who cannot read an order can send it again. When the node has started again, another
// session may have the same number.
func TestAnOrderThatIsSentAgainEndsNobody(t *testing.T) {
	r := startRedis(t)
	o := options(r.address())
	o.Node, o.Secret = "mx1", []byte("0123456789abcdef")
	first := newNode(t, o)
	ended := make(chan string, 100)
	l := login("karen", 2)
	l.Disconnect = func(text string) { ended <- text }
	admit(t, first, l)
	client := r.client()
	orders := make(chan string, 100)
	go client.Receive(
		t.Context(), client.B().Subscribe().Channel("{imapgate}node:mx1").Build(),
		func(m rueidis.PubSubMessage) { orders <- m.Message },
	)
	eventually(t, "the order is obeyed and heard", func() bool {
		found, err := first.Disconnect(t.Context(), "mx1", l.Info().ID, "old")
		return err == nil && found && len(orders) > 0
	})
	require.NoError(t, first.Close())

	for len(ended) > 0 {
		<-ended
	}
	second, again := newNode(t, o), <-orders
	admit(t, second, l)
	for range 3 {
		eventually(t, "orders are obeyed again", func() bool {
			do(t, client, "PUBLISH", "{imapgate}node:mx1", again)
			found, err := second.Disconnect(t.Context(), "mx1", l.Info().ID, "new")
			return err == nil && found
		})
		for done := false; !done; {
			select {
			case text := <-ended:
				assert.Equal(t, "new", text)
			default:
				done = true
			}
		}
	}
}

func TestASilentSessionOfTheNodeMakesRoom(t *testing.T) {
	r := startRedis(t)
	limit := limits.Options{MaxLoginsPerUser: 2, EvictIdle: 50 * time.Millisecond}
	one, two := serve(t, options(r.address()), limit), serve(t, options(r.address()), limit)
	one.login("karen")
	silent, _ := two.login("karen")
	time.Sleep(60 * time.Millisecond)
	_, answer := two.login("karen")
	assert.Contains(t, answer, "OK")
	assert.Equal(
		t, []string{"* BYE [LIMIT] A newer login of this user took the place of this idle session"},
		silent.Rest(),
	)
	client := r.client()
	eventually(t, "two are counted", func() bool { return count(t, client, "karen") == 2 })
}

func TestAGuesserGainsNothingByAnotherNode(t *testing.T) {
	r := startRedis(t)
	client := r.client()
	limit := limits.Options{MaxGuessDelay: 15 * time.Second}
	one, two := serve(t, options(r.address()), limit), serve(t, options(r.address()), limit)
	start := time.Now()
	guess := func(s *server, password string, guesses int64) {
		c := imaptest.NewConn(t, s.DialFrom("192.0.2.1"))
		c.Line()
		c.Cmd("a LOGIN karen " + password)
		c.Close()
		told(t, client, guesses) // until then, another node would not hear of it
	}
	guess(one, "a", 1)
	guess(two, "b", 2)
	assert.GreaterOrEqual(t, time.Since(start), 1900*time.Millisecond)
	guess(one, "c", 3)
	assert.GreaterOrEqual(t, time.Since(start), (1900+3900)*time.Millisecond)
}
