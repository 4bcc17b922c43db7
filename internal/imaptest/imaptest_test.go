package imaptest_test

import (
	"crypto/tls"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
)

func TestServerAndClientInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := imaptest.Serve(t, imaptest.Memory(imaptest.User("karen", "Sent")))
		client := server.Client(nil)
		require.NoError(t, client.Login("karen", "pass").Wait())
		mailboxes, err := client.List("", "*", nil).Collect()
		require.NoError(t, err)
		assert.Len(t, mailboxes, 2)
		require.NoError(t, client.Logout().Wait())
	})
}

func TestRawConnReadsLiterals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := imaptest.Serve(t, imaptest.Memory(imaptest.User("karen")))
		c := server.Login("karen", "pass")
		c.Send("a APPEND INBOX {12+}", "A: b\r\n\r\ntext")
		c.Answer("a")
		c.Cmd("b SELECT INBOX")
		answer := c.Cmd("c FETCH 1 BODY[]")
		require.True(t, imaptest.IsOK(answer), "%q", answer)
		assert.Equal(t, "* 1 FETCH (UID 1 BODY[] {12}\r\nA: b\r\n\r\ntext)", answer[0])
	})
}

func TestServerEndsAnIdleConnectionAfterItsOwnTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := imaptest.Serve(t, imaptest.Memory())
		start := time.Now()
		c := server.Dial()
		assert.Len(t, c.Rest(), 1)
		assert.Equal(t, time.Minute, time.Since(start))
	})
}

func TestTLSInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := imaptest.NewServer(t, &imapserver.Options{
			NewSession: imaptest.Memory(imaptest.User("karen")),
			TLSConfig:  imaptest.ServerTLS(),
		})
		c := server.Dial()
		assert.Contains(t, c.Line(), "STARTTLS LOGINDISABLED")
		assert.True(t, imaptest.IsOK(c.Cmd("a STARTTLS")))
		secure := imaptest.NewConn(t, tls.Client(c.Conn, imaptest.ClientTLS()))
		assert.True(t, imaptest.IsOK(secure.Cmd("b LOGIN karen pass")))
	})
}

func TestDialTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := imapserver.New(&imapserver.Options{
		NewSession: imaptest.Memory(imaptest.User("karen")), InsecureAuth: true,
	})
	go server.Serve(ln)
	defer server.Close()
	c := imaptest.DialTCP(t, ln.Addr().String())
	assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass")))
}

func TestAClientSaysWhereItComesFrom(t *testing.T) {
	ln := imaptest.Listen()
	defer ln.Close()
	go ln.DialFrom("192.0.2.7")
	conn, err := ln.Accept()
	require.NoError(t, err)
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	require.NoError(t, err)
	assert.Equal(t, "192.0.2.7", host)
}

func TestRunServesAServerOfAnyKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := imaptest.Run(t, imapserver.New(&imapserver.Options{
			NewSession: imaptest.Memory(imaptest.User("karen")), InsecureAuth: true,
		}))
		assert.True(t, imaptest.IsOK(server.Login("karen", "pass").Cmd("a NOOP")))
	})
}
