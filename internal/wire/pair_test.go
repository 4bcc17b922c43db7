//go:build unix

package wire

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// counted counts how often a socket is written to.
type counted struct {
	net.Conn
	writes atomic.Int32
}

func (c *counted) NetConn() net.Conn { return c.Conn }

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// pair returns a guarded connection whose server has greeted, and its client.
func pair(t *testing.T) (c *conn, socket *counted, client net.Conn) {
	server, client := sockets(t, "tcp", "127.0.0.1:0")
	client.SetDeadline(time.Now().Add(time.Minute))
	socket = &counted{Conn: server}
	c = newConn(socket, socket, newListener(nil, New(Config{})))
	require.NotNil(t, c.socket)
	write(t, c, "* PREAUTH ready\r\n")
	require.Equal(t, "* PREAUTH ready\r\n", read(t, client, len("* PREAUTH ready\r\n")))
	socket.writes.Store(0)
	return c, socket, client
}

func write(t *testing.T, c *conn, text string) {
	n, err := io.WriteString(c, text)
	require.NoError(t, err)
	require.Len(t, text, n)
}

func read(t *testing.T, conn net.Conn, n int) string {
	p := make([]byte, n)
	_, err := io.ReadFull(conn, p)
	require.NoError(t, err)
	return string(p)
}
