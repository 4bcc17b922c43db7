package wire

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/memconn"
)

// greeted returns a guarded connection in memory whose server has greeted, and its client, which
// has read that.
func greeted(t *testing.T, wrap func(*memconn.Conn) net.Conn) (*conn, *memconn.Conn) {
	server, client := memconn.Pipe(nil, nil)
	inner := wrap(server)
	c := newConn(inner, inner, newListener(nil, New(Config{})))
	require.True(t, c.guard().add(c))
	write(t, c, "* PREAUTH ready\r\n")
	read(t, client, len("* PREAUTH ready\r\n"))
	return c, client
}

// While the guard says goodbye, the server may still work. Its deadlines must not replace those of
// the goodbye, or a client that does not help would be waited for as long as the server would.
func TestTheDeadlinesOfAGoodbyeHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client := greeted(t, func(c *memconn.Conn) net.Conn { return c })
		began := time.Now()
		go func() {
			time.Sleep(byeTimeout / 2)
			c.SetDeadline(began.Add(time.Hour)) // as go-imap does before an answer
		}()
		c.HangUp("So long")
		assert.Equal(t, byeTimeout, time.Since(began))
		said, err := io.ReadAll(client)
		require.NoError(t, err)
		assert.Equal(t, "* BYE So long\r\n", string(said))
	})
}

// A client that sends in small pieces is waited for like any other.
func TestAGoodbyeCountsBytesAndNotPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client := greeted(t, func(c *memconn.Conn) net.Conn { return c })
		began := time.Now()
		go c.HangUp("So long")
		for range 900 {
			_, err := io.WriteString(client, "x")
			require.NoError(t, err)
			time.Sleep(time.Millisecond)
		}
		assert.Equal(t, 900*time.Millisecond, time.Since(began))
		client.Close()
	})
}
