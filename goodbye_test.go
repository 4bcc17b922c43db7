package imapgate_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
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

// busy is a session whose FETCH takes a minute.
type busy struct{ imaptest.Stub }

func (busy) Fetch(*imapserver.FetchWriter, imap.NumSet, *imap.FetchOptions) error {
	time.Sleep(time.Minute)
	return nil
}

// A client whose command waits when it is disconnected reads the BYE, and no answer that says that
// it has hung up itself.
func TestADisconnectedClientWhoseCommandWaitsReadsTheBYE(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := make(chan time.Time, 1)
		server, err := imapgate.NewServer(&imapgate.Options{
			Server: imapserver.Options{
				NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
					return busy{}, nil, nil
				},
				InsecureAuth: true,
			},
			Limits: &limits.Options{MaxFetches: 1, OnEvent: func(e limits.Event) {
				if e.Kind == limits.EventLeft {
					left <- time.Now()
				}
			}},
		})
		require.NoError(t, err)
		ln := imaptest.Listen()
		go server.Serve(ln)
		defer server.Close()
		var c *imaptest.Conn
		for range 2 {
			conn, err := ln.Dial()
			require.NoError(t, err)
			c = imaptest.NewConn(t, conn)
			c.Line()
			for _, command := range []string{"a LOGIN karen pass", "b SELECT INBOX"} {
				require.True(t, imaptest.IsOK(c.Cmd(command)))
			}
			c.Send("x FETCH 1 FLAGS")
			synctest.Wait()
		}
		require.Equal(t, 1, server.Limiter().Stats().FetchesWaiting)
		require.True(t, server.Limiter().Disconnect(server.Limiter().Sessions()[1].ID, "Good night"))
		start := time.Now()
		assert.Equal(t, 50*time.Millisecond, (<-left).Sub(start), "not after all of the goodbye")
		assert.Equal(t, []string{"* BYE Good night"}, c.Rest())
		c.Close()
		synctest.Wait()
		assert.Zero(t, server.Limiter().Stats().FetchesWaiting)
		time.Sleep(time.Minute)
	})
}

// selected returns a server with the session, and its client, which has selected INBOX.
func selected(t *testing.T, session imapserver.Session) (*imapgate.Server, *imaptest.Conn) {
	server, err := imapgate.NewServer(&imapgate.Options{
		Server: imapserver.Options{
			NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return session, nil, nil
			},
			InsecureAuth: true,
		},
	})
	require.NoError(t, err)
	ln := imaptest.Listen()
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	conn, err := ln.Dial()
	require.NoError(t, err)
	c := imaptest.NewConn(t, conn)
	c.Line()
	for _, command := range []string{"a LOGIN karen pass", "b SELECT INBOX"} {
		require.True(t, imaptest.IsOK(c.Cmd(command)))
	}
	return server, c
}

// patient is a session whose FETCH runs until it is stopped.
type patient struct{ imaptest.Stub }

func (patient) FetchContext(
	ctx context.Context, _ *imapserver.FetchWriter, _ imap.NumSet, _ *imap.FetchOptions,
) error {
	<-ctx.Done()
	return ctx.Err()
}

// A client whose FETCH is stopped because it is disconnected has a second to read the BYE and to
// close its own side. go-imap closes the connection as soon as the FETCH has stopped.
func TestADisconnectedClientWhoseFetchStopsHasTimeToReadTheBYE(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, c := selected(t, patient{})
		c.Send("x FETCH 1 FLAGS")
		synctest.Wait()
		require.True(t, server.Limiter().Disconnect(server.Limiter().Sessions()[0].ID, "Good night"))
		for range 9 {
			time.Sleep(100 * time.Millisecond)
			c.Send("y NOOP") // no error: the server still reads
		}
		assert.Zero(t, server.Limiter().Stats().Fetches)
		assert.Equal(t, []string{"* BYE Good night"}, c.Rest())
	})
}

// stuck is a session whose FETCH gives up in the middle of a message.
type stuck struct {
	imaptest.Stub
	closed chan struct{}
}

func (stuck) Fetch(
	w *imapserver.FetchWriter, _ imap.NumSet, options *imap.FetchOptions,
) (err error) {
	body := w.CreateMessage(1).WriteBodySection(options.BodySection[0], 1<<30)
	for err == nil {
		_, err = body.Write(make([]byte, 1000))
	}
	return err
}

func (s stuck) Close() error {
	close(s.closed)
	return nil
}

// A client that is disconnected while it does not read a message keeps nothing. If a goroutine
// stays, which waits until the message is whole, this test hangs.
func TestADisconnectedClientThatDoesNotReadKeepsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		session := stuck{closed: make(chan struct{})}
		server, c := selected(t, session)
		c.Send("x FETCH 1 BODY[]")
		synctest.Wait()
		began := time.Now()
		require.True(t, server.Limiter().Disconnect(server.Limiter().Sessions()[0].ID, "Good night"))
		<-session.closed
		assert.Equal(t, time.Second, time.Since(began))
	})
}
