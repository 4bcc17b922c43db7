package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// proxy is the address of every connection in memory.
const proxy = "192.0.2.1"

// serveOn serves a socket that trusts the sender. Above is put on top of the listener.
func serveOn(
	t *testing.T, socket net.Listener, trusted string, options *limits.Options,
	newSession limits.NewSessionFunc, above func(net.Listener) net.Listener,
) *limits.Limiter {
	listener, err := newListener(socket, []string{trusted})
	require.NoError(t, err)
	server, err := newServer(options, newSession)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(above(listener)) }()
	t.Cleanup(func() {
		server.Close()
		assert.NoError(t, <-served)
	})
	return server.Limiter()
}

func nothing(l net.Listener) net.Listener { return l }

// server is an IMAP server in memory behind the listener.
type server struct {
	t       *testing.T
	limiter *limits.Limiter
	dial    func() (net.Conn, error)
}

// serve must be called in a synctest bubble.
func serve(t *testing.T, trusted string, options *limits.Options) *server {
	memory := imaptest.Listen()
	limiter := serveOn(t, memory, trusted, options, backend(), nothing)
	return &server{t, limiter, memory.Dial}
}

// connect sends the header. It returns the connection and the first line that the server says, or
// "" if the server closes the connection.
func (s *server) connect(header string) (*imaptest.Conn, string) {
	socket, err := s.dial()
	require.NoError(s.t, err)
	c := imaptest.NewConn(s.t, socket)
	c.Write([]byte(header)) // this fails if the connection was refused before
	lines := make([]byte, 512)
	n, _ := c.Read(lines)
	return c, strings.TrimSpace(string(lines[:n]))
}

// addresses returns the addresses that the limits count connections for, without connections that
// were refused and are not closed yet.
func (s *server) addresses() (all []string) {
	synctest.Wait()
	for _, session := range s.limiter.Sessions() {
		if !session.Ending {
			all = append(all, session.Addr.Addr().String())
		}
	}
	return all
}

// header returns what a proxy sends for a client at the address.
func header(t *testing.T, version byte, client string) string {
	source := &net.TCPAddr{IP: net.ParseIP(client), Port: 50000}
	destination := &net.TCPAddr{IP: net.ParseIP("192.0.2.143"), Port: 143}
	if source.IP.To4() == nil {
		destination.IP = net.ParseIP("2001:db8::143")
	}
	bytes, err := proxyproto.HeaderProxyFromAddrs(version, source, destination).Format()
	require.NoError(t, err)
	return string(bytes)
}

const tooMany = "* BYE [LIMIT] Too many connections from this address!"

func TestTheClientsAddressIsTheOneThatIsCounted(t *testing.T) {
	for _, version := range []byte{1, 2} {
		for _, clients := range [][]string{
			{"203.0.113.7", "203.0.113.8"}, {"2001:db8:7::1", "2001:db8:8::1"},
		} {
			t.Run(fmt.Sprintf("v%d %s", version, clients[0]), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := serve(t, proxy, &limits.Options{MaxConnectionsPerIP: 1})
					_, greeting := s.connect(header(t, version, clients[0]))
					assert.Contains(t, greeting, "* OK")
					_, greeting = s.connect(header(t, version, clients[0]))
					assert.Equal(t, tooMany, greeting)
					_, greeting = s.connect(header(t, version, clients[1]))
					assert.Contains(t, greeting, "* OK")
					assert.Equal(t, clients, s.addresses())
				})
			})
		}
	}
}

func TestAnUntrustedSenderCannotChooseItsAddress(t *testing.T) {
	for _, version := range []byte{1, 2} {
		t.Run(fmt.Sprint("v", version), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, "198.51.100.0/24", &limits.Options{MaxConnectionsPerIP: 1})
				first, greeting := s.connect("")
				assert.Contains(t, greeting, "* OK", "a client without a proxy need not wait")
				assert.Equal(t, []string{proxy}, s.addresses())
				_, greeting = s.connect(header(t, version, "203.0.113.7"))
				assert.Equal(t, tooMany, greeting)

				first.Close()
				synctest.Wait()
				c, greeting := s.connect(header(t, version, "203.0.113.7") + "a LOGIN karen pass\r\n")
				assert.Contains(t, greeting, "* OK")
				assert.NotContains(
					t, greeting+strings.Join(c.Rest(), "\n"), "Logged in", "the header ends the connection",
				)
			})
		})
	}
}

// The proxy passes on what its client sends after the header. A second header there is read as a
// command that does not exist.
func TestAClientOfTheProxyCannotChooseItsAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, proxy, nil)
		c, greeting := s.connect(header(t, 1, "203.0.113.7"))
		assert.Contains(t, greeting, "* OK")
		assert.Equal(t, []string{"203.0.113.7"}, s.addresses())
		c.Write([]byte(header(t, 1, "203.0.113.8") + "a LOGIN karen pass\r\n"))
		rest := strings.Join(c.Rest(), "\n")
		assert.Contains(t, rest, "BAD Unknown command")
		assert.NotContains(t, rest, "Logged in")
	})
}

func TestAHeaderThatNeverComesOrIsMalformedHoldsNothing(t *testing.T) {
	for name, test := range map[string]struct {
		sent string
		took time.Duration
	}{
		"nothing":            {"", headerTimeout},
		"a piece of v1":      {"PROXY TCP4 203.0.113.7", 0},
		"a piece of v2":      {"\r\n\r\n\x00\r\nQUIT\n", headerTimeout},
		"a command instead":  {"a LOGIN karen pass\r\n", 0},
		"a bad address":      {"PROXY TCP4 karen 192.0.2.143 50000 143\r\n", 0},
		"a line of 10 KB":    {"PROXY TCP4 " + strings.Repeat("1", 10_000) + "\r\n", 0},
		"v2 without its end": {"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x01\x00", headerTimeout},
		"v2 of 64 KB":        {"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, proxy, limits.DefaultOptions())
				start := time.Now()
				answered := make(chan string, 1)
				go func() {
					_, line := s.connect(test.sent)
					answered <- line
				}()
				synctest.Wait()
				_, greeting := s.connect(header(t, 2, "203.0.113.7"))
				assert.Contains(t, greeting, "* OK", "others are let in meanwhile")
				assert.Zero(t, time.Since(start))

				assert.Empty(t, <-answered, "nobody is greeted without a header")
				assert.Equal(t, test.took, time.Since(start))
				assert.Equal(t, []string{"203.0.113.7"}, s.addresses())
				assert.Equal(t, 1, s.limiter.Stats().Connections)
			})
		})
	}
}

// A health check of the proxy has no client.
func TestAConnectionOfTheProxyItselfCountsForTheProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, proxy, nil)
		for _, local := range []string{"PROXY UNKNOWN\r\n", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"} {
			_, greeting := s.connect(local)
			assert.Contains(t, greeting, "* OK")
		}
		assert.Equal(t, []string{proxy, proxy}, s.addresses())
	})
}

// A name in the log is short, however long the one is that a client sends.
func TestALoggedNameIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		options := limits.DefaultOptions()
		options.OnEvent = logTo(slog.New(slog.NewTextHandler(&logged, nil)))
		s := serve(t, proxy, options)
		c, _ := s.connect(header(t, 1, "203.0.113.7"))
		c.Cmd("a LOGIN " + strings.Repeat("k", 5000) + " x")
		synctest.Wait()
		assert.Contains(t, logged.String(), " user="+strings.Repeat("k", 64)+" addr=203.0.113.7 ")
	})
}
