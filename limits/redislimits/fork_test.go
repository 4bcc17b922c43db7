package redislimits_test

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
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

// asChild is an environment variable. If it is set, the test binary serves one connection, file
// number 3, and counts logins in the Redis at the socket that it names.
const asChild = "IMAPGATE_TEST_REDIS_SOCKET"

func TestMain(m *testing.M) {
	if socket := os.Getenv(asChild); socket != "" {
		if err := serveOne(socket); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// serveOne is the child of a server that forks for each connection.
func serveOne(socket string) error {
	conn, err := net.FileConn(os.NewFile(3, "connection"))
	if err != nil {
		return err
	}
	o := redislimits.DefaultOptions()
	o.Client = rueidis.MustParseURL("unix://" + socket)
	o.Lease, o.Timeout = time.Second, patience
	cluster, err := redislimits.New(o)
	if err != nil {
		return err
	}
	defer cluster.Close()
	limiter := limits.New(&limits.Options{
		MaxLoginsPerUser: 2, MaxGuessDelay: 15 * time.Second, Cluster: cluster,
	})
	backend := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return stub{}, nil, nil
	}
	server := imapserver.New(&imapserver.Options{
		NewSession: limiter.Wrap(backend), InsecureAuth: true, Caps: imap.CapSet{imap.CapIMAP4rev1: {}},
	})
	once := &oneConn{Conn: conn, closed: make(chan struct{})}
	server.Serve(once)
	for limiter.Stats().Connections > 0 {
		time.Sleep(time.Millisecond)
	}
	return nil
}

// oneConn is a listener for just one connection.
type oneConn struct {
	net.Conn
	taken  bool
	once   sync.Once
	closed chan struct{}
}

func (c *oneConn) Accept() (net.Conn, error) {
	if !c.taken {
		c.taken = true
		return c, nil
	}
	<-c.closed
	return nil, net.ErrClosed
}

func (c *oneConn) Addr() net.Addr { return c.LocalAddr() }

func (c *oneConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// forking is a server with a process for each connection.
type forking struct {
	t        *testing.T
	listener *net.TCPListener
	redis    *redis
}

func newForking(t *testing.T) *forking {
	if runtime.GOOS == "windows" {
		t.Skip("no connection can be given to a child")
	}
	r := startRedis(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return &forking{t, l.(*net.TCPListener), r}
}

// login connects and logs in, and returns the child and the answer.
func (f *forking) login(user string) (*exec.Cmd, *imaptest.Conn, string) {
	return f.try(user, "pass")
}

func (f *forking) try(user, password string) (*exec.Cmd, *imaptest.Conn, string) {
	conn, err := net.Dial("tcp", f.listener.Addr().String())
	require.NoError(f.t, err)
	c := imaptest.NewConn(f.t, conn)
	accepted, err := f.listener.AcceptTCP()
	require.NoError(f.t, err)
	defer accepted.Close()
	file, err := accepted.File()
	require.NoError(f.t, err)
	defer file.Close()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), asChild+"="+f.redis.socket)
	child.ExtraFiles = []*os.File{file}
	child.Stderr = os.Stderr
	require.NoError(f.t, child.Start())
	f.t.Cleanup(func() {
		child.Process.Kill()
		child.Wait()
	})
	c.Line()
	return child, c, imaptest.Last(c.Cmd("a LOGIN " + user + " " + password))
}

func TestAProcessForEachConnection(t *testing.T) {
	f := newForking(t)
	first, conn, answer := f.login("karen")
	assert.Contains(t, answer, "OK")
	second, _, answer := f.login("karen")
	assert.Contains(t, answer, "OK")
	_, third, answer := f.login("karen")
	assert.Equal(t, noUserLogins, answer)
	assert.Equal(t, []string{"* BYE [LIMIT] Too many logins for this user"}, third.Rest())

	conn.Cmd("b LOGOUT")
	assert.NoError(t, first.Wait())
	_, _, answer = f.login("karen")
	assert.Contains(t, answer, "OK")

	// When a process dies, its lease ends and its place is free.
	_, _, answer = f.login("karen")
	assert.Equal(t, noUserLogins, answer)
	require.NoError(t, second.Process.Kill())
	client := f.redis.client()
	eventually(t, "its place is free", func() bool {
		_, _, answer := f.login("karen")
		return answer != noUserLogins
	})
	assert.Equal(t, 2, count(t, client, "karen"))
}

// Each process starts without memory, but learns of earlier guesses.
func TestAProcessForEachGuess(t *testing.T) {
	f := newForking(t)
	client := f.redis.client()
	took := took(func() {
		f.try("karen", "wrong")
		told(t, client, 1)
		f.try("bob", "wrong")
	})
	assert.GreaterOrEqual(t, took, 2*time.Second)
}
