package main

import (
	"crypto/tls"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// patience is much longer than the test needs.
const patience = 20 * time.Second

// slow is a session whose SEARCH runs until it is stopped. It reports when the SEARCH begins.
type slow struct {
	imaptest.Stub
	begun chan struct{}
	end   chan struct{}
}

func (s slow) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	s.begun <- struct{}{}
	<-s.end
	return s.Stub.Search(kind, criteria, options)
}

// A waiting SEARCH leaves the queue when its client hangs up, because limits finds the socket below
// go-proxyproto, also under TLS.
func TestAHangUpIsSeenBelowTheProxyProtocol(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	for name, layers := range map[string]struct {
		server func(net.Listener) net.Listener
		client func(net.Conn) net.Conn
	}{
		"plain": {nothing, func(c net.Conn) net.Conn { return c }},
		"TLS": {
			func(l net.Listener) net.Listener { return tls.NewListener(l, imaptest.ServerTLS()) },
			func(c net.Conn) net.Conn { return tls.Client(c, imaptest.ClientTLS()) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			events := make(chan limits.Event, 10)
			options := &limits.Options{MaxSearches: 1, OnEvent: func(e limits.Event) { events <- e }}
			session := slow{begun: make(chan struct{}), end: make(chan struct{})}
			newSession := func(*imapserver.Conn) (
				imapserver.Session, *imapserver.GreetingData, error,
			) {
				return session, nil, nil
			}
			socket, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			serveOn(t, socket, "127.0.0.1", options, newSession, layers.server)
			search := func(client string) net.Conn {
				conn, err := net.Dial("tcp", socket.Addr().String())
				require.NoError(t, err)
				_, err = conn.Write([]byte(header(t, 2, client)))
				require.NoError(t, err)
				c := imaptest.NewConn(t, layers.client(conn))
				assert.Contains(t, c.Line(), "* OK")
				c.Cmd("a LOGIN karen pass")
				c.Cmd("b SELECT INBOX")
				c.Send("c SEARCH ALL")
				return conn
			}
			search("203.0.113.7")
			<-session.begun
			defer close(session.end)
			search("203.0.113.8").Close()

			select {
			case left := <-events:
				assert.Equal(t, limits.EventLeft, left.Kind)
				assert.Equal(t, "203.0.113.8", left.Addr.String())
			case <-time.After(patience):
				t.Error("nobody has seen it")
			}
		})
	}
}
