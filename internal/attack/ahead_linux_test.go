package attack_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// holding is a session whose SEARCH takes as long as the test wants.
type holding struct {
	imaptest.Stub
	running, finish chan struct{}
}

func (h holding) Login(username, _ string) error {
	if username == "slow" {
		h.running <- struct{}{}
		<-h.finish
		return imapserver.ErrAuthFailed
	}
	return nil
}

func (h holding) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	h.running <- struct{}{}
	<-h.finish
	return h.Stub.Search(kind, criteria, options)
}

// A client that sends megabytes behind a waiting command cannot hide its hang-up: the guard notices
// it although the server has not read the bytes before it.
func TestHangingUpBehindPipelinedCommands(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		for _, size := range []int{30_000, 300_000, 4_300_000} {
			running, finish := make(chan struct{}), make(chan struct{})
			left := make(chan limits.Event, 10)
			address := serveHolding(t, transport == "TLS", running, finish, left)
			first, second := dialTCP(t, address, transport), dialTCP(t, address, transport)
			for _, c := range []*imaptest.Conn{first, second} {
				assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass")))
				assert.True(t, imaptest.IsOK(c.Cmd("a SELECT INBOX")))
			}
			first.Send("b SEARCH SEEN")
			<-running
			second.Send("b SEARCH UNSEEN")
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				io.WriteString(second.Conn, strings.Repeat("c NOOP "+strings.Repeat("x", 91)+"\r\n", size/100))
			}()
			select {
			case <-sent:
			case <-time.After(300 * time.Millisecond): // the server takes no more
			}
			second.Close()
			select {
			case e := <-left:
				assert.Equal(t, limits.EventLeft, e.Kind)
			case <-time.After(10 * time.Second): // within a second, unless the machine is busy
				t.Errorf("nobody sees that the client has left, %d bytes", size)
			}
			close(finish)
			assert.True(t, imaptest.IsOK(first.Answer("b")))
		}
	})
}

func serveHolding(
	t *testing.T, secure bool, running, finish chan struct{}, left chan limits.Event,
) (address string) {
	server, err := imapgate.NewServer(&imapgate.Options{
		Server: imapserver.Options{
			NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return holding{running: running, finish: finish}, nil, nil
			},
			TLSConfig:    imaptest.ServerTLS(),
			InsecureAuth: true,
			Logger:       log.New(io.Discard, "", 0),
		},
		Limits: &limits.Options{
			MaxSearches:        1,
			SearchQueueTimeout: time.Hour,
			OnEvent: func(e limits.Event) {
				if e.Kind == limits.EventLeft {
					left <- e
				}
			},
		},
	})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = ln.Addr().String()
	if secure {
		ln = tls.NewListener(ln, imaptest.ServerTLS())
	}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return address
}

func dialTCP(t *testing.T, address, transport string) *imaptest.Conn {
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	if transport == "TLS" {
		conn = tls.Client(conn, imaptest.ClientTLS())
	}
	c := imaptest.NewConn(t, conn)
	c.Line()
	if transport == "STARTTLS" {
		assert.True(t, imaptest.IsOK(c.Cmd("s STARTTLS")))
		c = imaptest.NewConn(t, tls.Client(conn, imaptest.ClientTLS()))
	}
	return c
}

// Commands that were sent ahead are answered, in order, once the command before them is answered.
func TestManyPipelinedCommandsAreAnswered(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		running, finish := make(chan struct{}), make(chan struct{})
		address := serveHolding(t, transport == "TLS", running, finish, make(chan limits.Event, 10))
		c := dialTCP(t, address, transport)
		assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass")))
		assert.True(t, imaptest.IsOK(c.Cmd("a SELECT INBOX")))
		for range 3 {
			c.Send("b SEARCH SEEN")
			<-running
			const n = 10_000
			go io.WriteString(c.Conn, strings.Repeat("c UID STORE 1 +FLAGS (x)\r\n", n))
			<-time.After(long)
			finish <- struct{}{}
			assert.True(t, imaptest.IsOK(c.Answer("b")))
			for range n {
				require.True(t, imaptest.IsOK(c.Answer("c")))
			}
			assert.True(t, imaptest.IsOK(c.Cmd("d NOOP")))
		}
	})
}

// long is the time in which the guard looks at a connection at least twice.
const long = 500 * time.Millisecond

// The guard does not read ahead during a TLS handshake.
func TestSTARTTLSBehindASlowCommand(t *testing.T) {
	running, finish := make(chan struct{}), make(chan struct{})
	c := dialTCP(t, serveHolding(t, false, running, finish, nil), "plain")
	c.Send("a LOGIN slow pass")
	<-running
	c.Send("b STARTTLS")
	<-time.After(long)
	close(finish)
	assert.Contains(t, c.Line(), "a NO")
	assert.True(t, imaptest.IsOK(c.Answer("b")))
	secure := imaptest.NewConn(t, tls.Client(c.Conn, imaptest.ClientTLS()))
	assert.True(t, imaptest.IsOK(secure.Cmd("c LOGIN karen pass")))
	assert.True(t, imaptest.IsOK(secure.Cmd("d NOOP")))
}

// A client that sends megabytes behind a waiting command is cut off, so nobody must store them.
func TestSendingMegabytesAhead(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		running, finish := make(chan struct{}), make(chan struct{})
		left := make(chan limits.Event, 10)
		address := serveHolding(t, transport == "TLS", running, finish, left)
		first, second := dialTCP(t, address, transport), dialTCP(t, address, transport)
		for _, c := range []*imaptest.Conn{first, second} {
			assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass")))
			assert.True(t, imaptest.IsOK(c.Cmd("a SELECT INBOX")))
		}
		first.Send("b SEARCH SEEN")
		<-running
		second.Send("b SEARCH UNSEEN")
		go io.WriteString(second.Conn, strings.Repeat("c NOOP "+strings.Repeat("x", 91)+"\r\n", 200_000))
		second.Rest()
		select {
		case <-left:
		case <-time.After(20 * time.Second):
			t.Error("the command still waits")
		}
		close(finish)
		assert.True(t, imaptest.IsOK(first.Answer("b")))
	})
}

// Append takes a message. It pauses for longer than the guard's interval, before it or behind its
// first byte.
func (h holding) Append(
	mailbox string, r imap.LiteralReader, _ *imap.AppendOptions,
) (*imap.AppendData, error) {
	if mailbox != "before" {
		io.CopyN(io.Discard, r, 1)
	}
	<-time.After(long)
	_, err := io.Copy(io.Discard, r)
	return nil, err
}

// A large message does not count as sent ahead, however slowly the backend takes it.
func TestALargeMessageForASlowBackendIsTaken(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		running, finish := make(chan struct{}), make(chan struct{})
		address := serveHolding(t, transport == "TLS", running, finish, nil)
		c := dialTCP(t, address, transport)
		assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass")))
		assert.True(t, imaptest.IsOK(c.Cmd("a SELECT INBOX")))
		upload := func(command string) {
			assert.Contains(t, c.Line(), "+ ", command)
			_, err := io.WriteString(c.Conn, strings.Repeat("x", 8_000_000)+"\r\n")
			assert.NoError(t, err)
			require.True(t, imaptest.IsOK(c.Answer("b")), command)
		}
		for _, command := range []string{"b APPEND INBOX {8000000}", "b APPEND before {8000000}"} {
			c.Send(command)
			upload(command)
		}
		c.Send("s SEARCH SEEN")
		<-running
		c.Send("b APPEND {6+}\r\nbefore (\\Seen) {8000000}")
		<-time.After(long)
		finish <- struct{}{}
		assert.True(t, imaptest.IsOK(c.Answer("s")))
		upload("pipelined")
	})
}
