package wire

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/memconn"
)

// greeted returns a guarded connection in memory whose server has greeted, and its client, which
// has read that.
func greeted(t *testing.T, wrap func(*memconn.Conn) net.Conn) (*conn, *memconn.Conn) {
	server, client := memconn.Pipe(nil, nil)
	inner := wrap(server)
	c := newConn(inner, inner, newListener(nil, New(Config{})))
	require.True(t, c.guard().add(c))
	greeting := []byte("* PREAUTH ready\r\n")
	_, err := c.Write(greeting)
	require.NoError(t, err)
	_, err = io.ReadFull(client, greeting)
	require.NoError(t, err)
	return c, client
}

// A client that is disconnected once more, while it reads the first BYE, reads that all the same.
func TestASecondGoodbyeDoesNotDisturbTheFirst(t *testing.T) {
	serve := func(c *conn) { // as go-imap does
		c.Read(make([]byte, 100))
		c.Close()
	}
	for name, first := range map[string]func(c *conn){
		"HangUp": func(c *conn) {
			go serve(c)
			go c.HangUp("So long")
		},
		"Drain": func(c *conn) {
			go serve(c)
			synctest.Wait()
			go c.guard().Drain(context.Background(), "So long")
		},
		"a limit": func(c *conn) {
			go func() {
				c.bye("So long")
				serve(c)
			}()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, client := greeted(t, func(c *memconn.Conn) net.Conn { return distant{c} })
				first(c)
				synctest.Wait() // the BYE is on its way
				c.HangUp("Once more")
				said, err := io.ReadAll(client)
				require.NoError(t, err)
				assert.Equal(t, "* BYE So long\r\n", string(said))
				client.Close()
			})
		})
	}
}

// HangUp does not wait for a client that does not finish its TLS handshake, although the server
// does, to write its greeting. Nor for one that has stopped reading, which TLS would tell the end
// for 5 s.
func TestHangUpOverTLSDoesNotWait(t *testing.T) {
	for name, stuck := range map[string]func(c *conn, client net.Conn){
		"for a handshake": func(c *conn, _ net.Conn) {
			go io.WriteString(c, "* PREAUTH ready\r\n")
			synctest.Wait()
		},
		"for a reader": stopReading,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := memconn.Pipe(nil, nil)
				secure := tls.Server(server, imaptest.ServerTLS())
				c := newConn(secure, secure, newListener(nil, New(Config{})))
				stuck(c, client)
				began := time.Now()
				c.HangUp("So long")
				assert.Zero(t, time.Since(began))
				assert.ErrorIs(t, server.SetDeadline(time.Time{}), net.ErrClosed)
			})
		})
	}
}

// stopReading makes the client stop reading after the handshake, and the server write until it can
// write no more.
func stopReading(c *conn, client net.Conn) {
	go tls.Client(client, imaptest.ClientTLS()).Handshake()
	var err error
	for err == nil {
		c.SetWriteDeadline(time.Now().Add(time.Second))
		_, err = io.WriteString(c, "* PREAUTH ready\r\n")
	}
}

// Nor do the other ways to cut off a client that has stopped reading.
func TestCuttingOffAClientOverTLSDoesNotWait(t *testing.T) {
	for name, cutOff := range map[string]func(c *conn){
		"that sends too much": func(c *conn) { c.cutOff() },
		"that does not take what was held": func(c *conn) {
			c.held.add([]byte("* 1 EXISTS\r\n"))
			c.flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := memconn.Pipe(nil, nil)
				secure := tls.Server(server, imaptest.ServerTLS())
				c := newConn(secure, secure, newListener(nil, New(Config{})))
				stopReading(c, client)
				began := time.Now()
				cutOff(c)
				assert.Zero(t, time.Since(began))
				assert.ErrorIs(t, server.SetDeadline(time.Time{}), net.ErrClosed)
			})
		})
	}
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

// switching is a connection that calls a function when a deadline of writing is set.
type switching struct {
	*memconn.Conn
	switched func()
}

func (s *switching) SetWriteDeadline(t time.Time) error {
	s.switched()
	return s.Conn.SetWriteDeadline(t)
}

// While a goodbye waits until the server has written the answer to STARTTLS, TLS may begin. A BYE
// in clear would then break it.
func TestAGoodbyeIsSaidOverTLSThatHasJustBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := &switching{switched: func() {}}
		c, clear := greeted(t, func(c *memconn.Conn) net.Conn {
			below.Conn = c
			return below
		})
		above, secure := memconn.Pipe(nil, nil)
		below.switched = func() { c.transport.Store(&transport{inner: above}) }
		go c.HangUp("So long")
		said, err := io.ReadAll(secure)
		require.NoError(t, err)
		assert.Equal(t, "* BYE So long\r\n", string(said))
		secure.Close()
		clear.SetReadDeadline(time.Now().Add(time.Second))
		said, _ = io.ReadAll(clear)
		assert.Empty(t, said)
	})
}

// HangUp waits for the end of a response that the server is writing. The client reads both.
func TestHangUpWaitsForTheEndOfAResponse(t *testing.T) {
	for rest, want := range map[string]string{
		"456789)\r\n": "* 1 FETCH (BODY[] {10}\r\n0123456789)\r\n* BYE So long\r\n",
		"456":         "* 1 FETCH (BODY[] {10}\r\n0123456",
	} {
		synctest.Test(t, func(t *testing.T) {
			c, client := greeted(t, func(c *memconn.Conn) net.Conn { return c })
			_, err := io.WriteString(c, "* 1 FETCH (BODY[] {10}\r\n0123")
			require.NoError(t, err)
			go func() {
				time.Sleep(byeTimeout / 2)
				io.WriteString(c, rest)
			}()
			go c.HangUp("So long")
			said, err := io.ReadAll(client)
			require.NoError(t, err)
			assert.Equal(t, want, string(said))
			client.Close()
		})
	}
}

// A server that closes the connection while the guard says goodbye, because its command has given
// up, does not take from the client the time to read that and to close its own side.
func TestCloseWaitsForTheGoodbye(t *testing.T) {
	for name, begin := range map[string]func(c *conn){
		"HangUp": func(c *conn) { c.HangUp("So long") },
		"Drain": func(c *conn) {
			c.life.enter(true) // the server waits for a command
			c.guard().Drain(context.Background(), "So long")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, client := greeted(t, func(c *memconn.Conn) net.Conn { return c })
				began := time.Now()
				go begin(c)
				synctest.Wait()
				go c.Close()
				for range 9 {
					time.Sleep(byeTimeout / 10)
					_, err := io.WriteString(client, "a NOOP\r\n")
					require.NoError(t, err)
				}
				c.Close()
				assert.Equal(t, byeTimeout, time.Since(began))
				said, err := io.ReadAll(client)
				require.NoError(t, err)
				assert.Equal(t, "* BYE So long\r\n", string(said))
			})
		})
	}
}

// brittle is a connection of somebody else's making that cannot be written to any more.
type brittle struct {
	net.Conn
	broken *bool
}

func (b brittle) Write(p []byte) (int, error) {
	if *b.broken {
		panic("broken")
	}
	return b.Conn.Write(p)
}

// A goodbye that panics does not keep the server's Close waiting.
func TestCloseDoesNotWaitForAGoodbyeThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken bool
		c, client := greeted(t, func(c *memconn.Conn) net.Conn { return brittle{c, &broken} })
		broken = true
		assert.Panics(t, func() { c.HangUp("So long") })
		began := time.Now()
		assert.NoError(t, c.Close())
		assert.Zero(t, time.Since(began))
		_, err := client.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF)
	})
}
