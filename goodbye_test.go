package imapgate_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// A client whose commands cross the BYE of limits reads it all the same.
func TestADisconnectedClientThatGoesOnSendingReadsTheBYE(t *testing.T) {
	server, err := imapgate.NewServer(&imapgate.Options{
		Server: imapserver.Options{
			NewSession: imaptest.Memory(imaptest.User("karen")), InsecureAuth: true,
		},
		Limits: limits.DefaultOptions(),
	})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go server.Serve(ln)
	defer server.Close()

	conn, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	c := imaptest.NewConn(t, conn)
	c.Line()
	require.True(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass")))
	sessions := server.Limiter().Sessions()
	require.Len(t, sessions, 1)
	go func() {
		for {
			if _, err := io.WriteString(conn, strings.Repeat("a NOOP\r\n", 50)); err != nil {
				return
			}
		}
	}()
	c.Line() // the server works
	require.True(t, server.Limiter().Disconnect(sessions[0].ID, "Good night"))
	said := c.Rest()
	require.NotEmpty(t, said)
	assert.Equal(t, "* BYE Good night", said[len(said)-1])
}
