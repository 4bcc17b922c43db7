package mailserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// asProgram in the environment makes the test binary the server itself, for what only a process can
// show.
const asProgram = "IMAPGATE_TEST_RUN_AS_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		Main(asServer)
	}
	os.Exit(m.Run())
}

// asServer is what the tests run: examples/server.
var asServer = Extension{Name: "server"}

// patience is far more than anything here takes.
const patience = 30 * time.Second

// output is a writer that can be read meanwhile, and waited for.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newOutput() *output { return &output{changed: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.changed <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// waitFor returns the submatches of the pattern as soon as it is there.
func (o *output) waitFor(t *testing.T, pattern string) []string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	for {
		if match := expression.FindStringSubmatch(o.String()); match != nil {
			return match
		}
		select {
		case <-o.changed:
		case <-timeout:
			require.FailNow(t, "nothing matches "+pattern, "%s", o)
		}
	}
}

// testServer is the server in this process, on ports that are free.
type testServer struct {
	t              *testing.T
	stdout, stderr *output
	cancel         context.CancelFunc
	exit           chan int
}

func startServer(t *testing.T, args ...string) *testServer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &testServer{
		t:      t,
		stdout: newOutput(),
		stderr: newOutput(),
		cancel: cancel,
		exit:   make(chan int, 1),
	}
	args = append([]string{"-listen", "127.0.0.1:0", "-listen-tls", "127.0.0.1:0"}, args...)
	go func() {
		s.exit <- Run(ctx, args, s.stdout, s.stderr, asServer)
		s.stdout.Write([]byte("ended\n"))
	}()
	s.stdout.waitFor(t, `Ctrl-C ends it|ended`)
	require.NotContains(t, s.stdout.String(), "ended", "%s", s.stderr)
	t.Cleanup(func() { assert.Equal(t, exitOK, s.stop(), "%s", s.stderr) })
	return s
}

// stop ends the server and returns its exit status.
func (s *testServer) stop() int {
	s.cancel()
	select {
	case status := <-s.exit:
		s.exit <- status // for a second call
		return status
	case <-time.After(patience):
		s.t.Error("the server does not end")
		return -1
	}
}

// address returns where the service is, "plain" or "TLS".
func (s *testServer) address(service string) string {
	s.t.Helper()
	return s.stdout.waitFor(s.t, `(?m)^  `+service+` +(\S+)`)[1]
}

// dial connects without TLS and reads the greeting.
func (s *testServer) dial() (c *imaptest.Conn, greeting string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.address("plain"))
	require.NoError(s.t, err)
	c = imaptest.NewConn(s.t, conn)
	return c, c.Line()
}

func (s *testServer) dialTLS() (c *imaptest.Conn, greeting string) {
	s.t.Helper()
	conn, err := tls.Dial("tcp", s.address("TLS"), insecure)
	require.NoError(s.t, err)
	c = imaptest.NewConn(s.t, conn)
	return c, c.Line()
}

var insecure = &tls.Config{InsecureSkipVerify: true}

// selected logs in and selects INBOX.
func (s *testServer) selected(user string) *imaptest.Conn {
	s.t.Helper()
	c, _ := s.dial()
	requireOK(s.t, c.Cmd("login LOGIN "+user+" pass"))
	requireOK(s.t, c.Cmd("select SELECT INBOX"))
	return c
}

func requireOK(t *testing.T, answer []string) {
	t.Helper()
	require.True(t, imaptest.IsOK(answer), "%q", answer)
}

// runOnce runs the server with arguments that it refuses.
func runOnce(t *testing.T, args ...string) (status int, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = Run(t.Context(), args, &out, &err, asServer)
	assert.Empty(t, out.String())
	return status, err.String()
}

func TestEveryUserFindsMailAndFolders(t *testing.T) {
	s := startServer(t)
	for _, user := range []string{"karen", "bob"} {
		c := s.selected(user)
		all := strings.Join(c.Cmd("a FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)"), "\n")
		assert.Equal(t, 5, strings.Count(all, "FETCH (UID"))
		assert.Equal(t, 2, strings.Count(all, `FLAGS (\seen)`))
		assert.Contains(t, all, `=F0=9F=8D=B2`)
		assert.Contains(t, all, `("attachment" ("filename" "september.csv"))`)
		assert.Equal(t, "* SEARCH 2", c.Cmd("b SEARCH CHARSET UTF-8 SUBJECT Mittagessen")[0])
		list := strings.Join(c.Cmd(`c LSUB "" "*"`), "\n")
		assert.Contains(t, list, `"Lists/imap"`)
		assert.Contains(t, list, `INBOX`)
	}
}

func TestLoginNeedsTheRightNameAndPassword(t *testing.T) {
	s := startServer(t, "-users", "ann:p:w", "-max-failed-logins", "0", "-max-guess-delay", "0s")
	c, _ := s.dial()
	for _, wrong := range []string{"ann pass", "karen pass", "ANN p:w", `ann ""`} {
		assert.Equal(
			t, "NO [AUTHENTICATIONFAILED] Authentication failed", imaptest.Last(c.Cmd("a LOGIN "+wrong)),
		)
	}
	requireOK(t, c.Cmd("a LOGIN ann p:w"))
}
