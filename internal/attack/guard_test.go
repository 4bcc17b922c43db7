package attack_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// gate is a server of the root package with a plain and a TLS listener. Its backend is in memory
// and knows karen. It keeps what go-imap reads.
type gate struct {
	*imapgate.Server
	t             testing.TB
	plain, secure *imaptest.Listener
	read          *record
}

type record struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

func newGate(t testing.TB, options *limits.Options) *gate {
	g := &gate{t: t, plain: imaptest.Listen(), secure: imaptest.Listen(), read: &record{}}
	server, err := imapgate.NewServer(&imapgate.Options{
		Server: imapserver.Options{
			NewSession:   imaptest.Memory(imaptest.User("karen")),
			TLSConfig:    imaptest.ServerTLS(),
			InsecureAuth: true,
			DebugWriter:  g.read,
			Logger:       discard{},
		},
		Limits: options,
		Idle:   &idle.Options{Mode: idle.Off},
	})
	require.NoError(t, err)
	g.Server = server
	go server.Serve(g.plain)
	go server.Serve(tls.NewListener(g.secure, imaptest.ServerTLS()))
	t.Cleanup(func() { server.Close() })
	return g
}

type discard struct{}

func (discard) Printf(string, ...any) {}

// dial connects and reads the greeting.
func (g *gate) dial(transport string) *imaptest.Conn {
	g.t.Helper()
	conn := g.dialOnly(transport)
	if transport == "TLS" {
		conn = tls.Client(conn, imaptest.ClientTLS())
	}
	c := imaptest.NewConn(g.t, conn)
	c.Line()
	if transport == "STARTTLS" {
		assert.True(g.t, imaptest.IsOK(c.Cmd("s STARTTLS")))
		c = imaptest.NewConn(g.t, tls.Client(conn, imaptest.ClientTLS()))
	}
	return c
}

func (g *gate) dialOnly(transport string) net.Conn {
	ln := g.plain
	if transport == "TLS" {
		ln = g.secure
	}
	conn, err := ln.Dial()
	require.NoError(g.t, err)
	return conn
}

func (g *gate) login(transport string) *imaptest.Conn {
	g.t.Helper()
	c := g.dial(transport)
	assert.True(g.t, imaptest.IsOK(c.Cmd("l LOGIN karen pass")))
	assert.True(g.t, imaptest.IsOK(c.Cmd("l SELECT INBOX")))
	return c
}

// overEach runs a test over plain, TLS and STARTTLS.
func overEach(t *testing.T, run func(t *testing.T, transport string)) {
	overEachOf(t, []string{"plain", "TLS", "STARTTLS"}, run)
}

func overEachOf(t *testing.T, transports []string, run func(t *testing.T, transport string)) {
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) { run(t, transport) })
	}
}

// send writes the text in pieces of this size, or in one piece if the size is 0.
func send(c *imaptest.Conn, text string, piece int) {
	if piece == 0 {
		piece = len(text)
	}
	for len(text) > 0 {
		n := min(piece, len(text))
		if _, err := io.WriteString(c.Conn, text[:n]); err != nil {
			return
		}
		text = text[n:]
	}
}

// A client that does not finish its handshake is cut off after 10 s, whether it is silent or sends
// for ever. Until then its connection counts.
func TestAHandshakeThatDoesNotEnd(t *testing.T) {
	for _, transport := range []string{"TLS", "STARTTLS"} {
		const hello = "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03xxxxxxxxxxxxxxxxxx"
		for name, drip := range map[string]string{"silent": "", "slow": hello} {
			t.Run(transport+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newGate(t, &limits.Options{})
					var conns []net.Conn
					for range 50 {
						conn := g.dialOnly(transport)
						if transport == "STARTTLS" {
							c := imaptest.NewConn(t, conn)
							c.Line()
							assert.True(t, imaptest.IsOK(c.Cmd("s STARTTLS")))
						}
						conns = append(conns, conn)
						go func() {
							for _, b := range []byte(drip) {
								conn.Write([]byte{b})
								time.Sleep(time.Second)
							}
						}()
					}
					synctest.Wait()
					assert.Equal(t, 50, g.Limiter().Stats().Connections)
					start := time.Now()
					for _, conn := range conns {
						io.Copy(io.Discard, conn)
					}
					assert.Equal(t, 10*time.Second, time.Since(start))
					synctest.Wait()
					assert.Zero(t, g.Limiter().Stats().Connections)
					time.Sleep(time.Minute) // until the slow senders have stopped
				})
			})
		}
	}
}

// A LoginTimeout that is shorter than that holds for a handshake too.
func TestAHandshakeThatTakesLongerThanALogin(t *testing.T) {
	for _, transport := range []string{"TLS", "STARTTLS"} {
		t.Run(transport, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, &limits.Options{LoginTimeout: 3 * time.Second})
				conn := g.dialOnly(transport)
				start := time.Now()
				if transport == "STARTTLS" {
					c := imaptest.NewConn(t, conn)
					c.Line()
					assert.True(t, imaptest.IsOK(c.Cmd("s STARTTLS")))
				}
				io.Copy(io.Discard, conn)
				assert.Equal(t, 3*time.Second, time.Since(start))
				synctest.Wait()
				assert.Zero(t, g.Limiter().Stats().Connections)
			})
		})
	}
}

// A refused connection does not count, and is closed after at most 10 s, whatever the client does.
func TestConnectionsThatAreRefused(t *testing.T) {
	for _, transport := range []string{"plain", "TLS"} {
		t.Run(transport, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, &limits.Options{MaxConnectionsPerIP: 5})
				var conns []net.Conn
				for range 5 {
					g.dialOnly(transport)
				}
				synctest.Wait()
				for range 300 {
					conns = append(conns, g.dialOnly(transport))
				}
				synctest.Wait()
				assert.Equal(t, 5, g.Limiter().Stats().Connections)
				start := time.Now()
				for _, conn := range conns {
					io.Copy(io.Discard, conn)
				}
				assert.LessOrEqual(t, time.Since(start), 10*time.Second)
				g.Close()
				time.Sleep(time.Minute) // until all clients have seen it
			})
		})
	}
	overEachOf(t, []string{"plain", "TLS"}, func(t *testing.T, transport string) {
		g := newGate(t, &limits.Options{MaxConnectionsPerIP: 1})
		g.dial(transport)
		conn := g.dialOnly(transport)
		if transport == "TLS" {
			conn = tls.Client(conn, imaptest.ClientTLS())
		}
		assert.Equal(
			t, []string{"* BYE [LIMIT] Too many connections from this address!"},
			imaptest.NewConn(t, conn).Rest(),
		)
	})
}

const (
	tooDeep     = "NO [LIMIT] Search terms are nested too deep"
	tooMany     = "NO [LIMIT] Too many search terms"
	notNow      = "BAD [CLIENTBUG] This command is only valid in the "
	notSelected = notNow + "selected state"
	notLoggedIn = notNow + "authenticated state"
)

// Before login only the commands that are allowed then reach go-imap.
func TestWhatIsNoCommandBeforeLogin(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		for command, want := range map[string]string{
			"SEARCH " + strings.Repeat("OR ", 16_900):                               notSelected,
			"uid search " + strings.Repeat("NOT ", 12_000):                          notSelected,
			"UıD SEARCH " + strings.Repeat("(", 900):                                notSelected,
			"LIST \"\" {6+}\r\nevil1 ":                                              notLoggedIn,
			"lıſt \"\" (evil {4}":                                                   notLoggedIn,
			"APPEND INBOX {60000+}\r\n" + strings.Repeat("evil1\r\n", 8571) + "xxx": notLoggedIn,
			"SELECT evil":    notLoggedIn,
			"ENABLE evil":    notLoggedIn,
			"UNAUTHENTICATE": notLoggedIn,
			"CLOSE evil":     notSelected,
			"CHECK":          "OK CHECK completed",
			"CHECK evil":     "BAD [CLIENTBUG] Syntax error: expected CRLF",
			"IDLE evil":      "BAD Unknown command",
		} {
			for _, piece := range []int{0, 1, 7} {
				if piece > 0 && transport != "plain" && len(command) > 1000 {
					continue // each piece is a TLS record
				}
				g := newGate(t, nil)
				c := g.dial(transport)
				go send(c, "a "+command+"\r\nb NOOP\r\n", piece)
				assert.Equal(t, want, imaptest.Last(c.Answer("a")), command[:min(len(command), 40)])
				assert.Equal(t, "OK NOOP completed", imaptest.Last(c.Answer("b")))
				heard := anyAnswer.ReplaceAllString(g.read.String(), "")
				assert.NotContains(t, heard, "evil")
				assert.NotRegexp(t, `OR OR|NOT NOT|\(\(`, heard)
			}
		}
	})
}

// anyAnswer matches a line that a server says. The DebugWriter gets these lines too.
var anyAnswer = regexp.MustCompile(`(?m)^(?:\*|\S+ (?:OK|NO|BAD)) .*$`)

// An unknown command ends the connection, as in go-imap, whatever follows its name.
func TestAnUnknownCommandBeforeLogin(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		for _, command := range []string{
			"FOO " + strings.Repeat("evil", 10_000), "UID FOO evil", "AUTHENTICATE2 evil", "POST evil",
		} {
			g := newGate(t, nil)
			c := g.dial(transport)
			go send(c, "a "+command+"\r\nb NOOP\r\n", 0)
			assert.Equal(t, []string{"a BAD Unknown command", "* BYE Unknown command"}, c.Rest())
			assert.NotContains(t, g.read.String(), "evil")
		}
	})
}

// A connection may send 64 KiB before login, whatever it sends.
func TestSendingMuchBeforeLogin(t *testing.T) {
	const bye = "* BYE [LIMIT] Too much was sent without a login"
	overEach(t, func(t *testing.T, transport string) {
		for name, text := range map[string]string{
			"20 MB of literals": "a LIST \"\" (" +
				strings.Repeat("{4096+}\r\n"+strings.Repeat("x", 4096)+" ", 5000),
			"lines":           strings.Repeat("a NOOP\r\n", 10_000),
			"no line":         "a NOOP " + strings.Repeat("x", 1<<20),
			"a large message": "a APPEND x {100000000+}\r\n" + strings.Repeat("x", 1<<20),
		} {
			var events []limits.Event
			options := limits.DefaultOptions()
			options.OnEvent = func(e limits.Event) { events = append(events, e) }
			g := newGate(t, options)
			c := g.dial(transport)
			go send(c, text, 0)
			said := c.Rest()
			require.NotEmpty(t, said, name)
			assert.Equal(t, bye, said[len(said)-1], name)
			assert.Less(t, len(anyAnswer.ReplaceAllString(g.read.String(), "")), 80<<10, name)
			require.NotEmpty(t, events)
			last := events[len(events)-1]
			assert.Equal(t, "MaxLoginBytes", last.Limit)
			assert.Equal(t, "65536", last.Max)
			assert.EqualValues(t, 1, g.Limiter().Stats().Refused.LoginBytes)
		}
	})
}

// A SEARCH that is nested too deep gets its NO before go-imap reads it. The next command runs.
func TestNestingASearch(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		g := newGate(t, nil)
		c := g.login(transport)
		for command, want := range map[string]string{
			"SEARCH " + strings.Repeat("OR ", 16_900):                                 tooDeep,
			"UID SEARCH " + strings.Repeat("NOT ", 12_000) + "ALL":                    tooDeep,
			"UıD ſEARCH " + strings.Repeat("NOT ", 900):                               tooDeep,
			"SEARCH " + strings.Repeat("(", 900):                                      tooDeep,
			"SEARCH " + strings.Repeat("NOT(", 40):                                    tooDeep,
			"SEARCH " + strings.Repeat("OR ALL ", 4_000) + "ALL":                      tooMany,
			"SEARCH TEXT {3+}\r\nabc " + strings.Repeat("NOT ", 40) + "{5+}\r\nabcde": tooDeep,
			"SEARCH " + strings.Repeat("OR NOT ALL ", 1200) + "ALL":                   tooMany,
		} {
			for _, piece := range []int{0, 7} {
				if piece > 0 && transport != "plain" && len(command) > 1000 {
					continue
				}
				go send(c, "a "+command+"\r\nb NOOP\r\n", piece)
				assert.Equal(t, "a "+want, c.Line(), command[:min(len(command), 40)])
				assert.Equal(t, "b OK NOOP completed", c.Line())
			}
		}
		assert.NotRegexp(t, strings.Repeat("OR ", 1200)+"|"+strings.Repeat("NOT ", 31), g.read.String())
	})
}

// The nested ORs that clients send to look for many addresses are a flat list, so the SEARCH runs.
func TestASearchForAThousandAddresses(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		options := limits.DefaultOptions()
		options.MaxSearchTerms = 0
		g := newGate(t, options)
		c := g.login(transport)
		go send(
			c,
			"a UID SEARCH "+strings.Repeat("OR FROM karen@example.com ", 999)+"FROM bob@example.com\r\n",
			0,
		)
		answer := c.Answer("a")
		assert.NotContains(t, imaptest.Last(answer), "BAD")
		assert.NotEqual(t, "NO [LIMIT] Too many search terms", imaptest.Last(answer))
		go send(c, "b UID SEARCH "+strings.Repeat("OR FROM a ", 4_999)+"FROM bob@example.com\r\n", 0)
		assert.Equal(t, "NO [LIMIT] Too many search terms", imaptest.Last(c.Answer("b")))
	})
}

// A command that is too large with its literals gets its NO at once. The next command runs.
func TestALargeCommand(t *testing.T) {
	const tooLarge = "NO [LIMIT] The command is too large"
	literal := "{4096+}\r\n" + strings.Repeat("x", 4096) + " "
	overEach(t, func(t *testing.T, transport string) {
		g := newGate(t, nil)
		c := g.login(transport)
		for name, command := range map[string]string{
			"20 MB of literals":   "LIST \"\" (" + strings.Repeat(literal, 5000) + ")",
			"of a SEARCH":         "SEARCH " + strings.Repeat("TEXT "+literal, 2000) + "ALL",
			"more than go-imap's": "CREATE \"" + strings.Repeat("x", 60_000) + "\"",
			"the same, broken":    "CREATE \"" + strings.Repeat("x", 60_000),
			"a large set":         "UID FETCH " + strings.Repeat("1,", 40_000) + "1 FLAGS",
			"a backslash":         "CREATE \"" + strings.Repeat(`\"`, 40_000) + "\"",
			"it waits":            "LIST \"\" (" + strings.Repeat(literal, 300) + "{4096}",
		} {
			go send(c, "a "+command+"\r\nb NOOP\r\n", 0)
			assert.Equal(t, "a "+tooLarge, c.Line(), name)
			assert.Equal(t, "b OK NOOP completed", c.Line(), name)
		}
		assert.EqualValues(t, 3, g.Limiter().Stats().Refused.CommandBytes)
		// The message of an APPEND has a limit of its own.
		go send(c, "c APPEND INBOX {3000000+}\r\n"+strings.Repeat("x", 3_000_000)+"\r\n", 0)
		assert.NotContains(t, imaptest.Last(c.Answer("c")), "LIMIT")
	})
}

// If many commands come in one piece, the size of each counts alone, also after a refused one.
func TestLargeCommandsInOnePiece(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		options := limits.DefaultOptions()
		options.MaxCommandBytes = 100
		g := newGate(t, options)
		c := g.login(transport)
		large := " CREATE " + strings.Repeat("x", 200)
		c.Send("a"+large, "b"+large, "c NOOP", "d"+large, "e CREATE x")
		for _, want := range []string{
			"a NO [LIMIT] The command is too large", "b NO [LIMIT] The command is too large",
			"c OK NOOP completed", "d NO [LIMIT] The command is too large", "e OK CREATE completed",
		} {
			assert.Equal(t, want, c.Line())
		}
		c.Send("f CREATE {99}") // the server does not ask for the literal
		assert.Equal(t, "f NO [LIMIT] The command is too large", c.Line())
	})
}

// The server sends an empty challenge as nothing. go-imap writes "=", which PHP's imap extension
// (the c-client library) takes for base64, and then it gives up.
func TestAnEmptyChallengeIsEmpty(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		c := newGate(t, nil).dial(transport)
		c.Send("a AUTHENTICATE PLAIN")
		assert.Equal(t, "+ ", c.Line())
		c.Send("AGthcmVuAHBhc3M=")
		assert.True(t, imaptest.IsOK(c.Answer("a")))
	})
}

// With DryRun the guard refuses nothing. It reports once per command what it would have refused.
func TestTheGuardRunsDry(t *testing.T) {
	options := limits.DefaultOptions()
	options.DryRun, options.MaxLoginBytes, options.MaxCommandBytes = true, 50, 50
	var mu sync.Mutex
	var told []string
	options.OnEvent = func(e limits.Event) {
		mu.Lock()
		defer mu.Unlock()
		assert.True(t, e.DryRun)
		told = append(told, e.Limit)
	}
	g := newGate(t, options)
	c := g.dial("plain")
	for range 20 {
		assert.True(t, imaptest.IsOK(c.Cmd("a NOOP")))
	}
	assert.True(t, imaptest.IsOK(c.Cmd("b LOGIN karen pass")))
	assert.True(t, imaptest.IsOK(c.Cmd("c CREATE "+strings.Repeat("x", 200))))
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, []string{"MaxLoginBytes", "MaxCommandBytes"}, told)
}
