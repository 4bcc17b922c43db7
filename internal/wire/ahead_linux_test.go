package wire

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readsAhead returns a connection that is read ahead while a command runs, and its client.
func readsAhead(t *testing.T) (*conn, net.Conn) {
	c, _, client := pair(t)
	p := make([]byte, 100)
	_, err := io.WriteString(client, "a NOOP\r\n")
	require.NoError(t, err)
	_, err = c.Read(p)
	require.NoError(t, err)
	_, err = io.WriteString(client, "b NOOP\r\n")
	require.NoError(t, err)
	for c.life.ahead == nil {
		c.look()
		runtime.Gosched()
	}
	return c, client
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
			c, client := readsAhead(t)
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

// canceled does not wait for anything.
var canceled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()
