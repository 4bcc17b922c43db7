package imapgate_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// unread is a listener of connections in memory. They hold no byte that the other end has not read.
type unread struct {
	*imaptest.Listener
	conns chan net.Conn
}

func (l *unread) Accept() (net.Conn, error) {
	conn, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

// Close panics when it is called again.
func (l *unread) Close() error {
	close(l.conns)
	return nil
}

// TLS says goodbye before it closes a connection, and gives a client that reads nothing 5 s for
// that. Close must not wait that long, and not once for each client. If it does, this test hangs:
// go-imap holds a lock meanwhile, and the time of a bubble stands still while anybody waits for it.
func TestCloseDoesNotWaitForClientsThatDoNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, err := imapgate.NewServer(&imapgate.Options{
			Server: imapserver.Options{NewSession: imaptest.Memory()},
		})
		require.NoError(t, err)
		ln := &unread{imaptest.Listen(), make(chan net.Conn)}
		go server.Serve(tls.NewListener(ln, imaptest.ServerTLS()))
		for range 3 {
			ours, theirs := net.Pipe()
			ln.conns <- theirs
			imaptest.NewConn(t, tls.Client(ours, imaptest.ClientTLS())).Line()
		}
		synctest.Wait()
		start := time.Now()
		server.Close()
		assert.Equal(t, time.Second, time.Since(start))
		synctest.Wait()
		assert.Zero(t, server.Limiter().Stats())
	})
}

// A client chooses the server name with which GetConfigForClient is called. When it panics, a
// client that is refused loses its connection as any other does, and the program goes on.
func TestATLSConfigThatPanicsForARefusedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log syncLog
		server, err := imapgate.NewServer(&imapgate.Options{
			Server: imapserver.Options{NewSession: imaptest.Memory(), Logger: &log},
			Limits: &limits.Options{MaxConnectionsPerIP: 1},
		})
		require.NoError(t, err)
		config := imaptest.ServerTLS()
		config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if hello.ServerName != "imap.example" {
				panic("GetConfigForClient is broken")
			}
			return nil, nil
		}
		ln := imaptest.Listen()
		go server.Serve(tls.NewListener(ln, config))
		dial := func(name string) *imaptest.Conn {
			conn, err := ln.Dial()
			require.NoError(t, err)
			as := imaptest.ClientTLS()
			as.ServerName = name
			return imaptest.NewConn(t, tls.Client(conn, as))
		}
		first := dial("imap.example")
		first.Line()
		assert.Empty(t, dial("other.example").Rest())
		synctest.Wait()
		assert.Contains(t, log.String(), "GetConfigForClient is broken")
		assert.True(t, imaptest.IsOK(first.Cmd("a NOOP")))
		server.Close()
	})
}

// syncLog keeps what is logged.
type syncLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *syncLog) Printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.text, format+"\n", args...)
}

func (l *syncLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
