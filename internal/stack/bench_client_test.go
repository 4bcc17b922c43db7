package stack_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/stack"
)

// serve starts go-imap's server on a loopback socket, and returns its address.
func serve(tb testing.TB, newSession stack.NewSessionFunc) string {
	server := imapserver.New(&imapserver.Options{NewSession: newSession, InsecureAuth: true})
	return listen(tb, server, false)
}

// listen starts any server on a loopback socket, and returns its address.
func listen(tb testing.TB, server stack.Server, secure bool) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	address := listener.Addr().String()
	if secure {
		listener = tls.NewListener(listener, imaptest.ServerTLS())
	}
	go server.Serve(listener)
	tb.Cleanup(func() { server.Close() })
	return address
}

// client sends commands that are prepared, and reads as little of an answer as possible. So it
// costs little: its cost is the same for every server, and hides the differences between servers.
type client struct {
	tb   testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func dial(tb testing.TB, address string) *client {
	conn, err := net.Dial("tcp", address)
	require.NoError(tb, err)
	return newClient(tb, conn)
}

func newClient(tb testing.TB, conn net.Conn) *client {
	c := &client{tb: tb, conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
	c.line()
	return c
}

// login logs in as the user with this number, and selects a mailbox.
func login(tb testing.TB, address string, user int) *client {
	return dial(tb, address).login(user)
}

func (c *client) login(user int) *client {
	c.do([]byte("a LOGIN user" + strconv.Itoa(user) + " pass\r\n"))
	c.do([]byte("a SELECT INBOX\r\n"))
	return c
}

func (c *client) line() []byte {
	line, err := c.r.ReadSlice('\n')
	require.NoError(c.tb, err)
	return line
}

// answer says how many bytes the answer to a command has, and its last ones, the tagged line.
type answer struct {
	size   int
	tagged []byte
}

// do sends a command and returns its answer, for again.
func (c *client) do(command []byte) answer {
	c.send(command)
	var a answer
	for {
		line := c.line()
		a.size += len(line)
		if bytes.HasPrefix(line, []byte("a ")) {
			require.True(c.tb, bytes.HasPrefix(line, []byte("a OK ")), "%s", line)
			a.tagged = bytes.Clone(line)
			return a
		}
	}
}

// again sends a command whose answer is known.
func (c *client) again(command []byte, known answer) {
	c.send(command)
	_, err := c.r.Discard(known.size - len(known.tagged))
	require.NoError(c.tb, err)
	if line := c.line(); !bytes.Equal(line, known.tagged) {
		require.Equal(c.tb, string(known.tagged), string(line))
	}
}

func (c *client) send(command []byte) {
	c.conn.SetDeadline(time.Now().Add(time.Minute))
	_, err := c.conn.Write(command)
	require.NoError(c.tb, err)
}

// logout logs out, and waits until the server closes the connection.
func (c *client) logout() {
	c.do([]byte("a LOGOUT\r\n"))
	_, err := io.Copy(io.Discard, c.r)
	require.NoError(c.tb, err)
	c.conn.Close()
}
