package mailserver

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
)

func TestIdleOff(t *testing.T) {
	s := startServer(t, "-idle", "off")
	starttls := func() (*imaptest.Conn, string) {
		c, greeting := s.dial()
		assert.Contains(t, greeting, "STARTTLS")
		requireOK(t, c.Cmd("s STARTTLS"))
		secure := imaptest.NewConn(t, tls.Client(c.Conn, insecure))
		return secure, greeting + strings.Join(secure.Cmd("c CAPABILITY"), "\n")
	}
	for name, dial := range map[string]func() (*imaptest.Conn, string){
		"plain": s.dial, "TLS": s.dialTLS, "STARTTLS": starttls,
	} {
		t.Run(name, func(t *testing.T) {
			c, caps := dial()
			caps += strings.Join(
				c.Cmd("a LOGIN karen pass"), "\n",
			) + strings.Join(
				c.Cmd("a CAPABILITY"), "\n",
			)
			assert.Contains(t, caps, "MOVE")
			assert.NotContains(t, caps, "IDLE")
			assert.Equal(t, "BAD Unknown command", imaptest.Last(c.Cmd("a IDLE")))
			requireOK(t, c.Cmd("a SELECT INBOX"))
		})
	}
}

func TestIdlePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := serveStack(t, "-idle", "poll", "-idle-poll-interval", "10s")
		c, other := server.Login("karen", "pass"), server.Login("karen", "pass")
		requireOK(t, c.Cmd("a SELECT INBOX"))
		c.Send("a IDLE")
		assert.Equal(t, "+ idling", c.Line())
		start := time.Now()
		requireOK(t, other.Cmd("a APPEND INBOX {8+}\r\na: b\r\n\r\n"))
		assert.Equal(t, "* 6 EXISTS", c.Line())
		assert.LessOrEqual(t, time.Since(start), 10*time.Second)
		c.Send("DONE")
		requireOK(t, c.Answer("a"))
	})
}

// IDLE lasts until the client ends it, also when there is nothing to look for, and whatever it
// sends to do so.
func TestIdleLasts(t *testing.T) {
	s := startServer(t)
	c, _ := s.dial()
	requireOK(t, c.Cmd("a LOGIN karen pass"))
	c.Send("a IDLE")
	assert.Equal(t, "+ idling", c.Line())
	c.Send("DONE")
	requireOK(t, c.Answer("a"))
	for range 50 {
		c.Send("a IDLE", "x", "b SELECT INBOX", "c IDLE", "x", "d SELECT Archive", "e UNSELECT")
		requireOK(t, c.Answer("b"))
		requireOK(t, c.Answer("d"))
		requireOK(t, c.Answer("e"))
	}
	assert.NotContains(t, s.stderr.String(), "panic")
}

// The TLS port cuts off who says nothing, also without IDLE.
func TestTheHandshakeHasADeadlineWithIdleOff(t *testing.T) {
	s := startServer(t, "-idle", "off", "-login-timeout", "100ms")
	c, err := net.Dial("tcp", s.address("TLS"))
	assert.NoError(t, err)
	defer c.Close()
	_, err = io.ReadAll(c)
	assert.NoError(t, err)
}
