package wire

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/memconn"
)

// distant is a connection on which what is written leaves a moment later.
type distant struct{ *memconn.Conn }

func (d distant) Write(p []byte) (int, error) {
	time.Sleep(100 * time.Millisecond)
	return d.Conn.Write(p)
}

// A client whose commands cross the BYE reads it all the same: its command wakes the server, which
// must not close the connection before the client has read.
func TestACommandThatCrossesTheBYE(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := memconn.Pipe(nil, nil)
		socket := distant{server}
		c := newConn(socket, socket, newListener(nil, New(Config{})))
		_, err := io.WriteString(c, "* PREAUTH ready\r\n")
		require.NoError(t, err)
		began := time.Now()
		served := make(chan time.Duration)
		go func() {
			_, err := c.Read(make([]byte, 100))
			assert.Error(t, err)
			c.Close()
			served <- time.Since(began)
		}()
		synctest.Wait()
		c.drain("So long")
		for range 5 {
			_, err := io.WriteString(client, "a NOOP\r\n")
			require.NoError(t, err)
			time.Sleep(200 * time.Millisecond)
		}
		said, err := io.ReadAll(client)
		require.NoError(t, err)
		assert.Equal(t, "* PREAUTH ready\r\n* BYE So long\r\n", string(said))
		assert.Equal(t, 1100*time.Millisecond, <-served, "a second after the BYE")
	})
}
