package wire_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/layers"
	"github.com/imapgate/imapgate/internal/memconn"
)

// mechanisms is a session with its own list of SASL mechanisms: PLAIN, or none.
type mechanisms struct {
	imaptest.Stub
	names []string
}

func (m mechanisms) AuthenticateMechanisms() []string { return m.names }

func (m mechanisms) Authenticate(mech string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, _, _ string) error { return nil }), nil
}

func (m mechanisms) Unauthenticate() error { return nil }

// go-imap's server and ours hold the same dialogue, except for IDLE.
func TestTLSIsAsGoIMAPHasIt(t *testing.T) {
	sessions := map[string]imapserver.Session{
		"no SASL":       imaptest.Stub{},
		"SASL":          mechanisms{names: []string{"PLAIN", "OTHER"}},
		"no mechanisms": mechanisms{},
	}
	scripts := [][]string{
		{
			"a CAPABILITY", "b LOGIN u p", "c CAPABILITY", "d STARTTLS", "e UNAUTHENTICATE", "f CAPABILITY",
			"g STARTTLS x", "h LOGOUT",
		},
		{
			"a AUTHENTICATE PLAIN AHUAcA==", "b CAPABILITY", "c AUTHENTICATE PLAIN AHUAcA==", "d STARTTLS",
			"e LOGOUT",
		},
		{"a LOGIN {1+}", "u {1+}", "p", "b CAPABILITY", "c LOGOUT"},
		{
			"a STARTTLS x", "b STARTTLS", "c CAPABILITY", "d STARTTLS", "e LOGIN u p", "f CAPABILITY",
			"g STARTTLS", "h LOGOUT",
		},
		{
			"a starttls", "b AUTHENTICATE PLAIN AHUAcA==", "c AUTHENTICATE PLAIN AHUAcA==", "d CAPABILITY",
			"e LOGOUT",
		},
	}
	for name, session := range sessions {
		for _, transport := range []string{"plain", "TLS"} {
			for bits := range 8 {
				options := quiet(imapserver.Options{InsecureAuth: bits&1 != 0})
				if bits&2 != 0 {
					options.TLSConfig = imaptest.ServerTLS()
				}
				greeting := &imapserver.GreetingData{PreAuth: bits&4 != 0}
				options.NewSession = func(*imapserver.Conn) (
					imapserver.Session, *imapserver.GreetingData, error,
				) {
					return session, greeting, nil
				}
				for _, script := range scripts {
					theirs := converse(t, imapserver.New(options), transport, script)
					ours := converse(t, newServer(options), transport, script)
					for i := range theirs {
						theirs[i] = strings.ReplaceAll(theirs[i], " IDLE", "")
					}
					assert.Equal(t, theirs, ours, "%s, %s, InsecureAuth %v, TLSConfig %v, PREAUTH %v: %q",
						name, transport, options.InsecureAuth, options.TLSConfig != nil, greeting.PreAuth, script)
				}
			}
		}
	}
}

// converse sends the lines, and begins TLS where the server agrees to it. It returns everything
// that the server said.
func converse(t *testing.T, s server, transport string, lines []string) []string {
	memory := imaptest.Listen()
	var ln net.Listener = memory
	if transport == "TLS" {
		ln = tls.NewListener(memory, imaptest.ServerTLS())
	}
	start(t, s, ln)
	conn, err := memory.Dial()
	require.NoError(t, err)
	if transport == "TLS" {
		conn = tls.Client(conn, imaptest.ClientTLS())
	}
	c := imaptest.NewConn(t, conn)
	said := []string{c.Line()}
	for i, line := range lines {
		c.Send(line)
		if strings.HasSuffix(line, "+}") ||
			i > 0 && strings.HasSuffix(lines[i-1], "+}") && !strings.Contains(line, " ") && line != "p" {
			continue
		}
		tag, command, ok := strings.Cut(line, " ")
		if !ok {
			tag = "a" // the line ends a command with literals
		}
		answer := c.Answer(tag)
		said = append(said, answer...)
		if strings.EqualFold(command, "STARTTLS") && imaptest.IsOK(answer) {
			c = imaptest.NewConn(t, tls.Client(c.Conn, imaptest.ClientTLS()))
		}
	}
	return said
}

func TestNoLoginInClear(t *testing.T) {
	for _, session := range []imapserver.Session{noIdle{t: t}, mechanisms{names: []string{"PLAIN"}}} {
		ln := imaptest.Listen()
		start(t, newServer(quiet(imapserver.Options{
			NewSession: always(session),
			TLSConfig:  imaptest.ServerTLS(),
		})), ln)
		c := dial(t, ln)
		assert.Equal(
			t, "* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL- STARTTLS LOGINDISABLED] IMAP server ready",
			c.Line(),
		)
		for _, command := range []string{
			"a LOGIN u p", "b login u p", "c AUTHENTICATE PLAIN", "d AUTHENTICATE PLAIN AHUAcA==",
			"e authenticate plain =", "f LOGıN u p", "g AUTHENTıCATE PLAIN",
		} {
			assert.Equal(
				t, "NO [PRIVACYREQUIRED] TLS is required to authenticate", imaptest.Last(c.Cmd(command)),
				command,
			)
		}
		assert.Equal(
			t, "BAD [CLIENTBUG] This command is only valid in the authenticated state",
			imaptest.Last(c.Cmd("h LIST \"\" *")),
		)
	}
}

func TestNothingSentBeforeSTARTTLSIsTakenAsSentAfterIt(t *testing.T) {
	r := &recorder{noIdle: noIdle{t: t}}
	ln := imaptest.Listen()
	start(t, newServer(quiet(imapserver.Options{
		NewSession: always(r),
		TLSConfig:  imaptest.ServerTLS(),
	})), ln)
	c := dial(t, ln)
	c.Line()
	c.Send("a STARTTLS", "b LOGIN mallory pass", "c NOOP")
	assert.True(t, imaptest.IsOK(c.Answer("a")))
	assert.Error(t, tls.Client(c.Conn, imaptest.ClientTLS()).Handshake())
	assert.Empty(t, r.text)

	c = dial(t, ln)
	c.Line()
	c.Send("a STARTTLS")
	assert.True(t, imaptest.IsOK(c.Answer("a")))
	io.WriteString(c.Conn, "b LOGIN mallory pass\r\n")
	assert.Error(t, tls.Client(c.Conn, imaptest.ClientTLS()).Handshake())
	assert.Empty(t, r.text)
}

// early sends a line together with the client's first handshake message.
type early struct {
	net.Conn
	line string
	skip int
}

func (e *early) Write(p []byte) (int, error) {
	if e.line != "" {
		line := e.line
		e.line = ""
		n, err := e.Conn.Write(append([]byte(line), p...))
		return max(0, n-len(line)), err
	}
	return e.Conn.Write(p)
}

// Read skips the answer to STARTTLS, which comes in clear before the handshake.
func (e *early) Read(p []byte) (int, error) {
	for e.skip > 0 {
		var b [1]byte
		if _, err := e.Conn.Read(b[:]); err != nil {
			return 0, err
		}
		if b[0] == '\n' {
			e.skip--
		}
	}
	return e.Conn.Read(p)
}

func TestAHandshakeThatBeginsEarly(t *testing.T) {
	ln := imaptest.Listen()
	var accepted net.Conn
	newSession := func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		accepted = c.NetConn()
		return noIdle{t: t}, nil, nil
	}
	start(
		t,
		newServer(
			quiet(imapserver.Options{NewSession: newSession, TLSConfig: imaptest.ServerTLS()}),
		),
		ln,
	)
	conn, err := ln.Dial()
	require.NoError(t, err)
	c := imaptest.NewConn(
		t, tls.Client(&early{Conn: conn, line: "a STARTTLS\r\n", skip: 2}, imaptest.ClientTLS()),
	)
	assert.True(t, imaptest.IsOK(c.Cmd("b LOGIN u p")))
	assert.Equal(t, "BAD Unknown command", imaptest.Last(c.Cmd("c IDLE")))
	assert.NotContains(t, strings.Join(c.Cmd("d CAPABILITY"), "\n"), "IDLE")
	assert.Equal(t, "BAD STARTTLS not available", imaptest.Last(c.Cmd("e STARTTLS")))
	assert.IsType(t, &memconn.Conn{}, layers.Innermost(accepted))
}

func clientTLS(conn net.Conn) net.Conn { return tls.Client(conn, imaptest.ClientTLS()) }

func TestWhatIsStackedWronglyEndsServe(t *testing.T) {
	plainOptions := imapserver.Options{NewSession: stub(t), InsecureAuth: true}
	withTLS := imapserver.Options{NewSession: stub(t), TLSConfig: imaptest.ServerTLS()}
	preAuth := withTLS
	preAuth.NewSession = func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return mechanisms{}, &imapserver.GreetingData{PreAuth: true}, nil
	}
	preAuth.Caps = imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUnauthenticate: {}}
	for _, test := range []struct {
		name    string
		options imapserver.Options
		stack   func(net.Listener) net.Listener
		client  func(net.Conn) net.Conn
		send    string
		want    string
	}{
		{"a server with STARTTLS", withTLS, newListener, nil, "", "offers STARTTLS above the listener"},
		// Only its own connection ends.
		{"one that shows it late", preAuth, newListener, nil, "a UNAUTHENTICATE\r\nb STARTTLS\r\n", ""},
		{
			"a server that does not see TLS", imapserver.Options{NewSession: stub(t)},
			func(ln net.Listener) net.Listener {
				return newListener(tls.NewListener(ln, imaptest.ServerTLS()))
			},
			clientTLS, "", "does not see that the listener is encrypted",
		},
		{
			"below TLS", plainOptions,
			func(ln net.Listener) net.Listener {
				return tls.NewListener(newListener(ln), imaptest.ServerTLS())
			},
			clientTLS, "", "below TLS",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			ln := imaptest.Listen()
			served := start(t, imapserver.New(quiet(test.options)), test.stack(ln))
			conn, err := ln.Dial()
			require.NoError(t, err)
			if test.client != nil {
				conn = test.client(conn)
			}
			go io.WriteString(conn, test.send)
			output, _ := io.ReadAll(conn)
			assert.NotContains(t, string(output), "Begin TLS")
			assert.NotContains(t, string(output), "IDLE")
			if test.want != "" {
				assert.ErrorContains(t, <-served, test.want)
				return
			}
			assert.Contains(t, dial(t, ln).Line(), "* PREAUTH", "the others are still served")
		})
	}
	assert.ErrorContains(
		t, newServer(&plainOptions).Serve(newListener(imaptest.Listen())), "below NewListener",
	)
}

func TestNewListenerOnATLSListener(t *testing.T) {
	ln := imaptest.Listen()
	start(t, imapserver.New(quiet(imapserver.Options{NewSession: stub(t), InsecureAuth: true})),
		newListener(tls.NewListener(ln, imaptest.ServerTLS())))
	conn, err := ln.Dial()
	require.NoError(t, err)
	c := imaptest.NewConn(t, tls.Client(conn, imaptest.ClientTLS()))
	assert.NotContains(t, c.Line(), "STARTTLS")
	assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN u p")))
	assert.Equal(t, "BAD Unknown command", imaptest.Last(c.Cmd("b IDLE")))
	assert.Equal(t, "NO STARTTLS not supported", imaptest.Last(c.Cmd("c STARTTLS")))
}

// If a STARTTLS does not end, the server's answer is about that, and does not begin TLS.
func TestASTARTTLSThatIsCutShortBeginsNoTLS(t *testing.T) {
	for _, command := range []string{"a STARTTLS ", "a STARTTLS \r"} {
		for _, stalls := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				ln := imaptest.Listen()
				start(
					t,
					newServer(quiet(imapserver.Options{NewSession: stub(t), TLSConfig: imaptest.ServerTLS()})),
					ln,
				)
				c := dial(t, ln)
				c.Line()
				io.WriteString(c.Conn, command)
				want := "* BYE The rest of the command did not come in time"
				if !stalls {
					c.Conn.(interface{ CloseWrite() error }).CloseWrite()
					want = "a NO [SERVERBUG] Internal server error"
				}
				assert.Equal(t, []string{want}, c.Rest(), command)
			})
		}
	}
}

// A client that was asked to begin TLS and does not is cut off, sooner than by go-imap.
func TestSTARTTLSWithoutAHandshakeEnds(t *testing.T) {
	for name, s := range map[string]func(*imapserver.Options) server{
		"go-imap": func(o *imapserver.Options) server { return imapserver.New(o) },
		"ours":    func(o *imapserver.Options) server { return newServer(o) },
	} {
		for _, sent := range []string{"", "\x16", "\x16\x03\x01\x02\x00\x01", "b LOGIN u p\r\n"} {
			synctest.Test(t, func(t *testing.T) {
				ln := imaptest.Listen()
				start(t, s(quiet(imapserver.Options{NewSession: stub(t), TLSConfig: imaptest.ServerTLS()})), ln)
				c := dial(t, ln)
				c.Line()
				assert.True(t, imaptest.IsOK(c.Cmd("a STARTTLS")))
				begin := time.Now()
				io.WriteString(c.Conn, sent)
				c.Rest()
				want := map[string]time.Duration{"go-imap": 30 * time.Second, "ours": 10 * time.Second}[name]
				if sent == "b LOGIN u p\r\n" {
					want = 0
				}
				assert.Equal(t, want, time.Since(begin), "%s, %q", name, sent)
			})
		}
	}
}

// endless is a connection whose NetConn returns itself.
type endless struct{ net.Conn }

func (e endless) NetConn() net.Conn { return e }

func TestAConnectionThatHasItselfBelowCountsAsClear(t *testing.T) {
	conn, err := newListener(newOnce(endless{&script{}})).Accept()
	require.NoError(t, err)
	assert.IsType(t, endless{}, conn.(interface{ NetConn() net.Conn }).NetConn())
}
