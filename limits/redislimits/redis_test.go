package redislimits_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/limits/redislimits"
)

// redis is a real server with its own directory and nothing on disk.
type redis struct {
	t      testing.TB
	port   int
	socket string
	args   []string
	cmd    *exec.Cmd
	exited <-chan struct{} // closed when it has ended
}

// startRedis starts a server on a free port of loopback and a Unix socket.
func startRedis(t testing.TB, args ...string) *redis {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed: apt-get install redis-server")
	}
	dir, err := os.MkdirTemp("", "redis") // short enough for a Unix socket
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &redis{t: t, socket: filepath.Join(dir, "redis.sock"), args: args}
	t.Cleanup(r.kill)
	for range 10 {
		r.port = freePort(t)
		if r.try() {
			return r
		}
	}
	require.FailNow(t, "redis-server does not start")
	return nil
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (r *redis) start() { require.True(r.t, r.try(), "redis-server starts again") }

// try starts the server, and reports whether it runs: another program may have taken the port.
func (r *redis) try() bool {
	args := append([]string{
		"--port", fmt.Sprint(r.port), "--bind", "127.0.0.1", "--unixsocket", r.socket,
		"--dir", filepath.Dir(r.socket), "--save", "", "--appendonly", "no", "--loglevel", "warning",
		"--maxclients", "2000",
	}, r.args...)
	r.cmd = exec.Command("redis-server", args...)
	r.cmd.Stdout, r.cmd.Stderr = io.Discard, os.Stderr
	require.NoError(r.t, r.cmd.Start())
	cmd, exited := r.cmd, make(chan struct{})
	r.exited = exited
	go func() {
		cmd.Wait()
		close(exited)
	}()
	runs := false
	eventually(r.t, "redis-server answers or ends", func() bool {
		select {
		case <-exited:
			return true
		default:
		}
		conn, err := net.Dial("unix", r.socket) // it is there after the port
		runs = err == nil
		if runs {
			conn.Close()
		}
		return runs
	})
	return runs
}

func (r *redis) address() string { return fmt.Sprintf("127.0.0.1:%d", r.port) }

// kill stops the server at once; its data is lost.
func (r *redis) kill() {
	if r.cmd != nil {
		r.cmd.Process.Kill()
		<-r.exited
		os.Remove(r.socket)
		r.cmd = nil
	}
}

func (r *redis) signal(s syscall.Signal) { require.NoError(r.t, r.cmd.Process.Signal(s)) }

// client returns a client for the test itself.
func (r *redis) client() rueidis.Client {
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{r.address()}, DisableCache: true, ForceSingleClient: true,
	})
	require.NoError(r.t, err)
	r.t.Cleanup(client.Close)
	return client
}

// patience is much longer than anything here takes, also on a machine that is very busy.
const patience = time.Minute

// eventually waits until is returns true, which must not take long.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		if time.Now().After(deadline) {
			require.FailNow(t, "never: "+what)
		}
		time.Sleep(time.Millisecond)
	}
}

// options returns the options of a test.
func options(address string) *redislimits.Options {
	o := redislimits.DefaultOptions()
	o.Client.InitAddress = []string{address}
	o.Timeout = patience // the machine may be busy
	o.Logger = log.New(io.Discard, "", 0)
	return o
}

// short returns options with short leases.
func short(address string) *redislimits.Options {
	o := options(address)
	o.Lease = 2 * time.Second // the machine may be busy for a second
	return o
}

// newNode returns a node that is connected.
func newNode(t testing.TB, o *redislimits.Options) *redislimits.Cluster {
	c, err := redislimits.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

var lastSession atomic.Uint64

// login returns a login of the user, who may have that many sessions.
func login(user string, most int) limits.ClusterLogin {
	info := limits.SessionInfo{
		ID: lastSession.Add(1), User: user, Addr: netip.MustParseAddrPort("192.0.2.1:50000"),
		Connected: time.Now(), Since: time.Now(),
	}
	return limits.ClusterLogin{
		User: user, Network: netip.MustParsePrefix("192.0.2.1/32"), MaxLoginsPerUser: most,
		Info:       func() limits.SessionInfo { return info },
		Disconnect: func(string) {},
	}
}

// admit logs in, and returns the lease.
func admit(t testing.TB, c *redislimits.Cluster, l limits.ClusterLogin) limits.ClusterLease {
	t.Helper()
	lease, err := c.Acquire(l)
	require.NoError(t, err)
	require.NotNil(t, lease)
	return lease
}

// eventuallyAdmit logs in as soon as Redis answers.
func eventuallyAdmit(t testing.TB, c *redislimits.Cluster, l limits.ClusterLogin) {
	eventually(t, "Redis answers", func() bool {
		lease, err := c.Acquire(l)
		if err != nil {
			lease.Release()
		}
		return err == nil
	})
}

// refuse logs in, and expects to be refused.
func refuse(t testing.TB, c *redislimits.Cluster, l limits.ClusterLogin, want error) {
	t.Helper()
	lease, err := c.Acquire(l)
	require.ErrorIs(t, err, want)
	require.Nil(t, lease)
}

// count returns how many leases of the user Redis counts.
func count(t testing.TB, client rueidis.Client, user string) int {
	key := "{imapgate}user:=" + user
	n, err := client.Do(context.Background(), client.B().Zcard().Key(key).Build()).AsInt64()
	if err != nil {
		return -1
	}
	return int(n)
}

// logged is a Logger whose lines can be read while it is in use.
type logged struct{ lines chan string }

func (l logged) Printf(format string, args ...any) { l.lines <- fmt.Sprintf(format, args...) }

func newLogged() logged { return logged{make(chan string, 1000)} }

func (l logged) all() []string {
	var lines []string
	for {
		select {
		case line := <-l.lines:
			lines = append(lines, line)
		default:
			return lines
		}
	}
}

func assertKeys(t testing.TB, client rueidis.Client, none ...string) {
	keys, err := client.Do(context.Background(), client.B().Keys().Pattern("*").Build()).AsStrSlice()
	require.NoError(t, err)
	for _, key := range keys {
		for _, text := range none {
			assert.False(t, strings.Contains(key, text), "%q in %q", text, key)
		}
	}
}
