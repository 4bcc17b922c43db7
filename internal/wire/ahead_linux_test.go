package wire

import (
	"context"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readAhead makes the guard read ahead while a command runs.
func readAhead(t *testing.T, c *conn, client net.Conn) {
	_, err := io.WriteString(client, "a NOOP\r\n")
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 100))
	require.NoError(t, err)
	_, err = io.WriteString(client, "b NOOP\r\n")
	require.NoError(t, err)
	for c.life.ahead == nil {
		c.look()
		runtime.Gosched()
	}
}

// A client that does not close its side is waited for a second, not for ever: the guard must not
// read ahead for longer than that.
func TestAGoodbyeToAClientThatIsReadAheadEnds(t *testing.T) {
	for text, end := range map[string]func(c *conn){
		"So long": func(c *conn) { c.guard().Drain(canceled, "So long") },
		byeLoginBytes: func(c *conn) {
			c.dialogue.mu.Lock()
			c.dialogue.authenticated = false
			c.dialogue.mu.Unlock()
			c.guard().config.Limits = func(net.Conn) Limits { return Limits{LoginBytes: 1} }
		},
	} {
		t.Run(text, func(t *testing.T) {
			c, _, client := pair(t)
			readAhead(t, c, client)
			require.True(t, c.guard().add(c))
			defer c.Close()
			end(c)
			write(t, c, "a OK NOOP completed\r\n")
			timer := time.AfterFunc(time.Minute, func() { client.Close() })
			_, err := c.Read(make([]byte, 100))
			assert.ErrorIs(t, err, net.ErrClosed)
			require.True(t, timer.Stop(), "the server waits until the client closes the connection")
			said, err := io.ReadAll(client)
			require.NoError(t, err)
			assert.Equal(t, "a OK NOOP completed\r\n* BYE "+text+"\r\n", string(said))
		})
	}
}

// While linger waits, its deadline holds, whatever the server has set.
func TestTheDeadlineOfLingerHolds(t *testing.T) {
	c, socket, client := pair(t)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
	c.life.end()
	require.NoError(t, socket.Conn.SetReadDeadline(time.Unix(1, 0)))
	c.renewReadDeadline()
	_, err := io.WriteString(client, "a NOOP\r\n")
	require.NoError(t, err)
	_, err = socket.Conn.Read(make([]byte, 100))
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestReadingAheadMayBeginAgainAfterAMessage(t *testing.T) {
	c, _, client := pair(t)
	c.stopAhead()
	assert.True(t, c.life.noAhead)
	_, err := io.WriteString(client, "a NOOP\r\n")
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 100))
	require.NoError(t, err)
	assert.False(t, c.life.noAhead)
}

// canceled does not wait for anything.
var canceled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// What was sent ahead of a slow login does not lower the limit of the session.
func TestALoginRaisesTheLimitOfWhatIsReadAhead(t *testing.T) {
	c, _, client := pair(t)
	c.dialogue.authenticated = false
	readAhead(t, c, client)
	c.dialogue.mu.Lock()
	c.dialogue.authenticated = true
	c.dialogue.mu.Unlock()
	_, err := io.WriteString(client, strings.Repeat("c NOOP\r\n", maxAheadLogin/4))
	require.NoError(t, err)
	for c.life.ahead.size() < maxAheadLogin*2 {
		require.False(t, c.life.hasEnded())
		runtime.Gosched()
	}
	assert.False(t, c.life.hasEnded())
	c.Close()
}
