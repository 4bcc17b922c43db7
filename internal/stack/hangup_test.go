package stack_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// slow is a session whose FETCH takes until finish is closed.
type slow struct {
	imaptest.Stub
	running chan<- struct{}
	finish  <-chan struct{}
}

func (s slow) Fetch(*imapserver.FetchWriter, imap.NumSet, *imap.FetchOptions) error {
	s.running <- struct{}{}
	<-s.finish
	return nil
}

// Behind a server without IDLE, limits still finds the socket of a client that hangs up while its
// FETCH waits.
func TestLimitsFindTheSocketBelowIdle(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	dial := func(t *testing.T, address string) net.Conn {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		return conn
	}
	plain := func(ln net.Listener) net.Listener { return ln }
	for name, test := range map[string]struct {
		listener func(net.Listener) net.Listener
		dial     func(*testing.T, string) *imaptest.Conn
	}{
		"plain": {plain, func(t *testing.T, address string) *imaptest.Conn {
			return imaptest.NewConn(t, dial(t, address))
		}},
		"TLS": {
			func(ln net.Listener) net.Listener { return tls.NewListener(ln, imaptest.ServerTLS()) },
			func(t *testing.T, address string) *imaptest.Conn {
				return imaptest.NewConn(t, tls.Client(dial(t, address), imaptest.ClientTLS()))
			},
		},
		"STARTTLS": {plain, func(t *testing.T, address string) *imaptest.Conn {
			c := imaptest.NewConn(t, dial(t, address))
			c.Line()
			assert.True(t, imaptest.IsOK(c.Cmd("s STARTTLS")))
			return imaptest.NewConn(t, tls.Client(c.Conn, imaptest.ClientTLS()))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			running, finish := make(chan struct{}), make(chan struct{})
			left := make(chan limits.Event, 10)
			server, err := imapgate.NewServer(&imapgate.Options{
				Server: imapserver.Options{
					NewSession: func(*imapserver.Conn) (
						imapserver.Session, *imapserver.GreetingData, error,
					) {
						return slow{running: running, finish: finish}, nil, nil
					},
					TLSConfig:    imaptest.ServerTLS(),
					InsecureAuth: true,
					Logger:       log.New(io.Discard, "", 0),
				},
				Limits: &limits.Options{
					MaxFetches: 1, FetchQueueTimeout: time.Hour,
					OnEvent: func(e limits.Event) { left <- e },
				},
				Idle: &idle.Options{Mode: idle.Off},
			})
			require.NoError(t, err)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			go server.Serve(test.listener(ln))
			t.Cleanup(func() { server.Close() })

			first, second := test.dial(t, ln.Addr().String()), test.dial(t, ln.Addr().String())
			first.Cmd("a LOGIN karen pass")
			second.Cmd("a LOGIN karen pass")
			first.Cmd("b SELECT INBOX")
			second.Cmd("b SELECT INBOX")
			first.Send("c FETCH 1 FLAGS")
			<-running
			second.Send("c FETCH 1 FLAGS", "d NOOP")
			second.Close()
			assert.Equal(t, limits.EventLeft, (<-left).Kind)
			close(finish)
			assert.True(t, imaptest.IsOK(first.Answer("c")))
		})
	}
}
