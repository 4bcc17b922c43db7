package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/examples/internal/mailserver"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// patience is much longer than anything here needs.
const patience = 30 * time.Second

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "never: "+what)
	}
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// output is a writer that can be read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// server is the program while it runs.
type server struct {
	t            *testing.T
	imap, status string // addresses
	stderr       output
}

func startServer(t *testing.T, args ...string) *server {
	s := &server{t: t, imap: freeAddress(t), status: freeAddress(t)}
	args = append([]string{"-listen", s.imap, "-listen-tls", "", "-status", s.status}, args...)
	ctx, stop := context.WithCancel(t.Context())
	exit := make(chan int)
	go func() { exit <- mailserver.Run(ctx, args, io.Discard, &s.stderr, extension()) }()
	t.Cleanup(func() {
		stop()
		assert.Zero(t, <-exit, s.stderr.String())
	})
	eventually(t, "the server listens", func() bool {
		conn, err := net.Dial("tcp", s.status)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return s
}

// login connects and logs in as karen.
func (s *server) login() (*imaptest.Conn, string) {
	conn, err := net.Dial("tcp", s.imap)
	require.NoError(s.t, err)
	c := imaptest.NewConn(s.t, conn)
	c.Line()
	return c, imaptest.Last(c.Cmd("a LOGIN karen pass"))
}

func (s *server) get(path string) string {
	answer, err := http.Get("http://" + s.status + path)
	require.NoError(s.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, answer.StatusCode, "%s", body)
	return string(body)
}

// start runs a program of a Debian package until the test ends.
func start(t *testing.T, debian, program string, args ...string) {
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed: apt-get install %s", program, debian)
	}
	cmd := exec.Command(program, args...)
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
}

func startRedis(t *testing.T) (address string) {
	address = freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	start(t, "redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "")
	eventually(t, "Redis listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return address
}

func TestTheThirdLoginOnTheOtherNode(t *testing.T) {
	redis := startRedis(t)
	args := []string{"-redis", redis, "-max-logins-per-user", "2", "-redis-timeout", "20s"}
	one := startServer(t, append(args, "-node", "one")...)
	two := startServer(t, append(args, "-node", "two")...)
	first, answer := one.login()
	assert.Contains(t, answer, "OK")
	_, answer = two.login()
	assert.Contains(t, answer, "OK")
	third, answer := two.login()
	assert.Equal(t, "NO [LIMIT] Too many logins for this user", answer)
	assert.Equal(t, []string{"* BYE [LIMIT] Too many logins for this user"}, third.Rest())

	eventually(t, "all see both sessions", func() bool {
		sessions := one.get("/sessions")
		return strings.Count(sessions, "karen") == 2 && strings.Contains(sessions, "\ntwo  ")
	})
	assert.Contains(t, two.get("/metrics"), `imapgate_refusals_total{reason="logins_per_user"} 1`)
	assert.Contains(t, two.get("/metrics"), "imapgate_cluster_leases 1\n")
	assert.Contains(t, two.get("/"), "karen", "the status page is still there")

	first.Cmd("z LOGOUT")
	eventually(t, "the place is free", func() bool {
		_, answer := two.login()
		return strings.HasPrefix(answer, "OK")
	})
}

// What others have written to the Redis is shown without control characters.
func TestSessionsOfStrangersArePlainText(t *testing.T) {
	redis := startRedis(t)
	s := startServer(t, "-redis", redis)
	conn, err := net.Dial("tcp", redis)
	require.NoError(t, err)
	defer conn.Close()
	for _, command := range [][]string{
		{"ZADD", "{imapgate}pages", "1e18", "page.1 no\x1bde"},
		{"HSET", "{imapgate}page:page.1", "a", `{"u":"ka\u001bren","m":"ID\u001bLE"}`},
	} {
		fmt.Fprintf(conn, "*%d\r\n", len(command))
		for _, word := range command {
			fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(word), word)
		}
	}
	eventually(t, "it is listed", func() bool {
		return strings.Contains(s.get("/sessions"), `ka\x1bren`)
	})
	assert.NotContains(t, s.get("/sessions"), "\x1b")
}

func TestWithoutRedisItCountsAlone(t *testing.T) {
	s := startServer(t, "-max-logins-per-user", "1")
	_, answer := s.login()
	assert.Contains(t, answer, "OK")
	_, answer = s.login()
	assert.Equal(t, "NO [LIMIT] Too many logins for this user", answer)
	assert.NotContains(t, s.get("/metrics"), "imapgate_cluster_")
}

func TestFlags(t *testing.T) {
	var stdout, stderr bytes.Buffer
	assert.Zero(t, mailserver.Run(t.Context(), []string{"-h"}, &stdout, &stderr, extension()))
	for _, flag := range []string{"-redis address", "-max-logins-per-user number", "-mail path"} {
		assert.Contains(t, stdout.String(), "\n  "+flag)
	}
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{
			[]string{"-redis", "http://user:secret@host"}, 1,
			"cluster: -redis takes an address such as 127.0.0.1:6379",
		},
		{[]string{"-redis", "127.0.0.1:1", "-redis-lease", "soon"}, 2, "cluster: invalid value"},
		{
			[]string{"-redis", "127.0.0.1:1", "-redis-lease", "1ms"}, 1,
			"cluster: redislimits: Lease is 1ms: it must be at least 100ms",
		},
		{[]string{"-redis-fail-closed"}, 1, "cluster: -redis-fail-closed needs -redis"},
		{[]string{"-redis", "", "-node", "mx1"}, 1, "cluster: -node needs -redis"},
	} {
		stderr.Reset()
		status := mailserver.Run(t.Context(), test.args, io.Discard, &stderr, extension())
		assert.Equal(t, test.status, status)
		assert.Contains(t, stderr.String(), test.want)
		assert.NotContains(t, stderr.String(), "secret")
	}
}

// Prometheus scrapes the program once, and then has its figures.
func TestPrometheusScrapesIt(t *testing.T) {
	s := startServer(t, "-redis", startRedis(t), "-redis-timeout", "20s")
	s.login()
	dir, address := t.TempDir(), freeAddress(t)
	config := filepath.Join(dir, "prometheus.yml")
	rules, err := filepath.Abs("../../limits/promlimits/alerts.yml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 1s, scrape_timeout: 1s}
rule_files: [%s]
scrape_configs:
  - job_name: imapgate
    static_configs: [{targets: [%s]}]
`, rules, s.status), 0o600))
	start(
		t, "prometheus", "prometheus", "--config.file", config, "--web.listen-address", address,
		"--storage.tsdb.path", filepath.Join(dir, "data"),
	)
	query := func(text string) string {
		answer, err := http.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(text))
		if err != nil {
			return err.Error()
		}
		defer answer.Body.Close()
		var body struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		if json.NewDecoder(answer.Body).Decode(&body) != nil || len(body.Data.Result) != 1 {
			return ""
		}
		return fmt.Sprint(body.Data.Result[0].Value[1])
	}
	eventually(t, "it is scraped", func() bool { return query("up") == "1" })
	assert.Equal(t, "1", query(`imapgate_current{kind="sessions"}`))
	assert.Equal(t, "20", query(`imapgate_limit{limit="MaxLoginsPerUser"}`))
	assert.Equal(t, "1", query("imapgate_cluster_up"))
}
