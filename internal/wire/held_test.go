//go:build unix

package wire

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pairWithoutTimer returns a pair in which data waits for as long as there is nothing else.
func pairWithoutTimer(t *testing.T) (*conn, *counted, net.Conn) {
	c, socket, client := pair(t)
	c.held.timer = true // as if it were running
	return c, socket, client
}

const flags = "* 1 FETCH (FLAGS ())\r\n"

func TestAnAnswerIsWrittenInOnePiece(t *testing.T) {
	for name, pieces := range map[string][]string{
		"data":    {flags, flags, "a OK FETCH completed\r\n"},
		"a list":  {"* ESEARCH (TAG \"a\") ALL 1\r\n", "a OK SEARCH completed\r\n"},
		"literal": {"* 1 FETCH (BODY[] {3}\r\n", "abc)\r\n", "a OK FETCH completed\r\n"},
		"a line in two parts": {
			"* SEARCH 1 2", " 3\r\n", "a OK SEARCH completed\r\n",
		},
		"a refusal":   {flags, "a NO [LIMIT] Too many\r\n"},
		"progress":    {flags, "* OK [INPROGRESS] Still working\r\n"},
		"a BYE":       {flags, "* BYE Logging out\r\n"},
		"a challenge": {flags, "+ Ready\r\n"},
		"nothing":     {"a OK NOOP completed\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c, socket, client := pairWithoutTimer(t)
			for _, piece := range pieces {
				write(t, c, piece)
			}
			all := strings.Join(pieces, "")
			assert.Equal(t, all, read(t, client, len(all)))
			assert.EqualValues(t, 1, socket.writes.Load())
		})
	}
}

func TestDataOfASlowCommandArrivesBeforeItsAnswer(t *testing.T) {
	c, _, client := pair(t)
	for range 3 {
		write(t, c, flags)
		assert.Equal(t, flags, read(t, client, len(flags)))
	}
}

func TestDataThatIsHeldKeepsItsOrder(t *testing.T) {
	c, _, client := pair(t)
	var pieces []string
	for range 200 {
		size := rand.IntN(5000)
		if size%50 == 0 {
			size *= 10
		}
		literal := fmt.Sprintf("* 1 FETCH (BODY[] {%d}\r\n", size)
		pieces = append(pieces,
			flags, "* OK [INPROGRESS] Still working\r\n", literal, strings.Repeat("x", size), ")\r\n",
			literal, strings.Repeat("y", size)+")\r\n", "* SEARCH"+strings.Repeat(" 123", size)+"\r\n",
		)
	}
	pieces = append(pieces, "a OK FETCH completed\r\n")
	go func() {
		for _, piece := range pieces {
			io.WriteString(c, piece)
		}
		c.Close()
	}()
	all, err := io.ReadAll(client)
	require.NoError(t, err)
	assert.True(t, strings.Join(pieces, "") == string(all))
}

func TestAConnectionEndsAfterWhatIsHeld(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(c *conn)
		last string
	}{
		"BYE":     {func(c *conn) { c.goodbye("So long") }, "* BYE So long\r\n"},
		"cut off": {(*conn).cutOff, "* BYE " + byeAhead + "\r\n"},
		"Close":   {func(c *conn) { c.Close() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, client := pairWithoutTimer(t)
			write(t, c, flags)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				test.end(c)
			}()
			said, err := io.ReadAll(io.LimitReader(client, int64(len(flags+test.last))))
			require.NoError(t, err)
			assert.Equal(t, flags+test.last, string(said))
			client.Close()
			<-ended
		})
	}
}

// After a write that failed, nobody knows which part of a line the client has.
func TestAFlushThatFailsClosesTheConnection(t *testing.T) {
	c, socket, client := pairWithoutTimer(t)
	write(t, c, flags)
	client.(*net.TCPConn).SetLinger(0)
	client.Close()
	socket.Conn.SetWriteDeadline(time.Unix(1, 0)) // it fails even before the reset arrives
	c.flush()
	assert.ErrorIs(t, socket.Conn.SetDeadline(time.Time{}), net.ErrClosed)
}

// failsOnce is a connection whose first write fails.
type failsOnce struct {
	net.Conn
	writes int
}

func (f *failsOnce) Write(p []byte) (int, error) {
	if f.writes++; f.writes == 1 {
		return 0, os.ErrDeadlineExceeded
	}
	return len(p), nil
}

func TestNothingIsWrittenAfterAWriteThatFailed(t *testing.T) {
	var h held
	require.True(t, h.add([]byte(flags)))
	socket := &failsOnce{}
	assert.ErrorIs(t, h.write(socket, make([]byte, bufferSize)), os.ErrDeadlineExceeded)
	assert.Equal(t, 1, socket.writes)
}

func TestALongLiteralIsNotHeld(t *testing.T) {
	c, socket, client := pairWithoutTimer(t)
	const begin, end = "* 1 FETCH (BODY[] {10000}\r\n", ")\r\na OK FETCH completed\r\n"
	write(t, c, begin)
	for range 10 {
		write(t, c, strings.Repeat("y", 1000))
	}
	assert.EqualValues(t, 11, socket.writes.Load())
	write(t, c, ")\r\n")
	assert.EqualValues(t, 11, socket.writes.Load(), "its end waits for the answer")
	write(t, c, "a OK FETCH completed\r\n")
	assert.EqualValues(t, 12, socket.writes.Load())
	all := read(t, client, len(begin)+10_000+len(end))
	assert.True(t, strings.HasSuffix(all, "y"+end))
}

func TestALongLineIsNotHeld(t *testing.T) {
	c, _, client := pairWithoutTimer(t)
	long := "* SEARCH" + strings.Repeat(" 1", bufferSize) + "\r\n"
	go io.WriteString(c, flags+long)
	r := bufio.NewReaderSize(client, 4*bufferSize)
	for _, want := range []string{flags, long} {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, want, line)
	}
}

// After a write that failed, a part of a line may be sent, so a BYE would land inside it.
func TestNoBYEInsideALine(t *testing.T) {
	for name, end := range map[string]func(c *conn){
		"goodbye": func(c *conn) { c.goodbye("So long") }, "cut off": (*conn).cutOff,
	} {
		t.Run(name, func(t *testing.T) {
			c, _, client := pairWithoutTimer(t)
			c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
			var err error
			for err == nil {
				_, err = io.WriteString(c, flags) // nobody reads
			}
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				end(c)
				c.Close()
			}()
			said, err := io.ReadAll(client)
			require.NoError(t, err)
			assert.NotContains(t, string(said), "BYE")
			<-ended
		})
	}
}
