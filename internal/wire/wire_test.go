package wire_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/wire"
)

// server is go-imap's server or ours.
type server interface {
	Serve(net.Listener) error
	Close() error
}

// start serves the listeners. The channel gets what each Serve returns.
func start(t testing.TB, s server, listeners ...net.Listener) <-chan error {
	served := make(chan error, len(listeners))
	var wg sync.WaitGroup
	for _, ln := range listeners {
		wg.Go(func() { served <- s.Serve(ln) })
	}
	t.Cleanup(func() {
		for _, ln := range listeners {
			ln.Close()
		}
		wg.Wait()
		s.Close()
	})
	return served
}

// quiet sets a logger that writes nothing.
func quiet(options imapserver.Options) *imapserver.Options {
	options.Logger = log.New(io.Discard, "", 0)
	return &options
}

// strict sets a logger that fails the test when a command reaches go-imap that should not.
func strict(t testing.TB, options imapserver.Options) *imapserver.Options {
	options.Logger = log.New(filterErrors{t}, "", 0)
	return &options
}

type filterErrors struct{ t testing.TB }

func (f filterErrors) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("IDLE came through")) {
		f.t.Errorf("%s", line)
	}
	return len(line), nil
}

func dial(t testing.TB, ln *imaptest.Listener) *imaptest.Conn {
	conn, err := ln.Dial()
	require.NoError(t, err)
	return imaptest.NewConn(t, conn)
}

// noIdle is a session whose Idle must not be called.
type noIdle struct {
	imaptest.Stub
	t testing.TB
}

func (s noIdle) Idle(*imapserver.UpdateWriter, <-chan struct{}) error {
	s.t.Error("Idle of the backend was called")
	return nil
}

// always returns the same session for every connection.
func always(session imapserver.Session) imaptest.NewSessionFunc {
	return func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return session, nil, nil
	}
}

func stub(t testing.TB) imaptest.NewSessionFunc {
	return func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return noIdle{t: t}, nil, nil
	}
}

// off starts a server without IDLE that accepts logins in clear.
func off(t testing.TB, newSession imaptest.NewSessionFunc) *imaptest.Listener {
	ln := imaptest.Listen()
	start(
		t, newServer(strict(t, imapserver.Options{NewSession: newSession, InsecureAuth: true})), ln,
	)
	return ln
}

func TestIdleIsNotOnTheWire(t *testing.T) {
	memory := imaptest.Memory(imaptest.User("karen"))
	ln := imaptest.Listen()
	server := imapserver.New(quiet(imapserver.Options{NewSession: memory, InsecureAuth: true}))
	start(t, server, newListener(ln))
	for name, c := range map[string]*imaptest.Conn{
		"NewServer": dial(t, off(t, memory)), "NewListener": dial(t, ln),
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(
				t, "* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL- AUTH=PLAIN] IMAP server ready", c.Line(),
			)
			for _, command := range []string{
				"a IDLE", "b idle", "c iDlE x", "d ıdle", "e IDLE (", "f IDLE {3}", "DONE",
			} {
				tag, _, _ := strings.Cut(command, " ")
				assert.Equal(t, []string{tag + " BAD Unknown command"}, c.Cmd(command))
			}
			assert.Equal(
				t,
				[]string{"g OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL- UNSELECT ENABLE UTF8=ACCEPT] Logged in"},
				c.Cmd("g LOGIN karen pass"),
			)
			assert.Equal(
				t,
				[]string{
					"* CAPABILITY IMAP4rev1 SASL-IR LITERAL- UNSELECT ENABLE UTF8=ACCEPT",
					"h OK CAPABILITY completed",
				},
				c.Cmd("h CAPABILITY"),
			)
			for _, command := range []string{
				"i IDLE", "j idle", "DONE", "k SELECT INBOX", "l IDLE", "done",
			} {
				tag, _, _ := strings.Cut(command, " ")
				if answer := c.Cmd(command); tag != "k" {
					assert.Equal(t, []string{tag + " BAD Unknown command"}, answer)
				}
			}
			assert.Equal(t, "OK LOGOUT completed", imaptest.Last(c.Cmd("m LOGOUT")))
		})
	}
}

func TestIdleIsAnsweredInOrder(t *testing.T) {
	c := dial(t, off(t, stub(t)))
	c.Send(
		"a NOOP", "b IDLE", "c LOGIN u p", "d IDLE", "DONE", "e LIST \"\" \"x IDLE\"", "f Idle",
		"g LOGOUT",
	)
	var tags []string
	for _, line := range c.Rest()[1:] {
		if line[0] != '*' {
			words := strings.Fields(line)
			tags = append(tags, words[0]+" "+words[1])
		}
	}
	assert.Equal(
		t, []string{"a OK", "b BAD", "c OK", "d BAD", "DONE BAD", "e OK", "f BAD", "g OK"}, tags,
	)
}

// recorder keeps the appended messages, and the mailbox names.
type recorder struct {
	noIdle
	mu   sync.Mutex
	text []string
}

func (r *recorder) add(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = append(r.text, s)
}

func (r *recorder) Login(username, password string) error {
	r.add(username + "/" + password)
	return nil
}

func (r *recorder) Append(
	mailbox string, lit imap.LiteralReader, _ *imap.AppendOptions,
) (*imap.AppendData, error) {
	message, err := io.ReadAll(lit)
	r.add(mailbox + "/" + string(message))
	return nil, err
}

func (r *recorder) Create(name string, _ *imap.CreateOptions) error {
	r.add(name)
	return nil
}

const tricky = "x IDLE\r\ny IDLE\r\nDONE\r\n* CAPABILITY IMAP4rev1 IDLE\r\n\r\nz IDLE {5+}\r\n"

func TestLiteralsAndStringsPassUntouched(t *testing.T) {
	r := &recorder{noIdle: noIdle{t: t}}
	c := dial(
		t,
		off(
			t,
			always(r),
		),
	)
	// This is not IMAP, but go-imap takes it for a string.
	script := "a LOGIN {8+}\r\nx IDLE\r\n \"y IDLE\\\" {3}\r\nz IDLE\r\n\"\r\n" +

		"b APPEND x {80}\r\n" + tricky + strings.Repeat(
		"-",
		80-len(tricky),
	) + "\r\n" +
		"c APPEND {6+}\r\nb IDLE (\\Seen) {0080+} \r\n" + tricky + strings.Repeat(
		"+",
		80-len(tricky),
	) + "\r\n" +
		"d APPEND x UTF8 (~{80+}\r\n" + tricky + strings.Repeat(
		"~",
		80-len(tricky),
	) + ")\r\n" +
		"e APPEND x {0+}\r\n\r\nf CREATE {0+}\r\n\r\n" +
		"h CREATE a}b\r\n" +
		"i IDLE\r\nj LOGOUT\r\n"
	for part := range strings.SplitSeq(script, "D") {
		if part != script[strings.LastIndex(script, "D")+1:] {
			part += "D"
		}
		_, err := io.WriteString(c.Conn, part)
		require.NoError(t, err)
	}
	answers := strings.Join(c.Rest(), "\n")
	assert.Equal(t, []string{
		"x IDLE\r\n/y IDLE\" {3}\r\nz IDLE\r\n", "x/" + tricky + strings.Repeat("-", 80-len(tricky)),
		"b IDLE/" + tricky + strings.Repeat("+", 80-len(tricky)),
		"x/" + tricky + strings.Repeat("~", 80-len(tricky)), "x/", "", "a}b",
	}, r.text)
	assert.Contains(t, answers, "i BAD Unknown command\n* BYE")
}

func TestAuthenticateExchangesPassUntouched(t *testing.T) {
	c := dial(t, off(t, imaptest.Memory(imaptest.User("karen"))))
	c.Line()
	c.Send("a AUTHENTICATE PLAIN", "b IDLE", "c IDLE")
	assert.Equal(
		t, []string{"+ ", "a BAD Malformed SASL response", "c BAD Unknown command"},
		[]string{c.Line(), c.Line(), c.Line()},
	)
	c.Send("d AUTHENTICATE PLAIN", "*")
	assert.Equal(t, []string{"+ ", "d BAD AUTHENTICATE cancelled"}, c.Answer("d"))
	c.Send(
		"e AUTHENTICATE PLAIN", strings.Repeat("A", 5000),
	) // go-imap gives up in the middle of the line
	assert.Equal(t, "e NO [SERVERBUG] Internal server error", c.Answer("e")[1])
	assert.True(t, imaptest.IsOK(c.Cmd("f NOOP")), "the rest of the line is no command")

	c = dial(t, off(t, imaptest.Memory(imaptest.User("karen"))))
	c.Line()
	c.Send("a AUTHENTICATE PLAIN", "AGthcmVuAHBhc3M=", "b IDLE")
	assert.True(t, imaptest.IsOK(c.Answer("a")))
	assert.Equal(t, "BAD Unknown command", imaptest.Last(c.Answer("b")))
}

// Each of these makes go-imap end a command where the grammar does not end it.
func TestNoWayAround(t *testing.T) {
	login := "0 LOGIN u p\r\n"
	for name, input := range map[string]string{
		"CR ends a line that is dropped": "a NOOP x\rb IDLE\r\n",
		"the same in a string":           "a NOOP \"\rb IDLE\r\n",
		"two CR":                         "a NOOP x\r\rb IDLE\r\n",
		"a rejected literal":             "a LOGIN x {8+}\r\nb IDLE\r\n",
		"a literal that is too long":     login + "a CREATE {5000+}\r\nx\r\nb IDLE\r\n",
		"for the mailbox of an APPEND": login + "a APPEND {5000+}\r\nx {3+}\r\nabcJ {8+}\r\n" +
			"b IDLE\r\n",
		"an APPEND that is not answered": login + "a APPEND x {3+}\r\nabcJ {8+}\r\nb IDLE\r\n",
		"a quote behind the message":     login + "a APPEND x {3+}\r\nabc\"\r\nb IDLE\r\n",
		"a long line behind the message": login + "a APPEND x {3+}\r\n" +
			"abc" + strings.Repeat("j", 51202-len("a APPEND x {3+}\r\n")) + "b IDLE\r\n",
		"a bad mailbox name drops no line": login + "a CREATE {3+}\r\n&&&b IDLE\r\n",
		"a literal without digits":         login + "a CREATE {+}\r\nb IDLE\r\n",
		"a huge literal":                   login + "a CREATE {99999999999999999999+}\r\nb IDLE\r\n",
		"a string that does not begin":     login + "a CREATE x\"\r\nb IDLE\r\n",
		"the end of a long line": login + "a NOOP " +
			strings.Repeat("x", 51201-len("a NOOP ")) + "b IDLE\r\n",
		"and one behind a literal": login + "a CREATE {2+}\r\n" +
			"x" + strings.Repeat("\r", 50<<10) + "b IDLE\r\n",
		"a long SASL response": "a AUTHENTICATE PLAIN\r\n" + strings.Repeat("A", 4096) +
			"b IDLE\r\n",
		"a tag that looks like a continuation": "+ AUTHENTICATE PLAIN\r\n*\r\n+ IDLE\r\nb IDLE\r\n",
		"a tag like that that is answered OK":  "+ NOOP\r\n+ IDLE\r\nb AUTHENTICATE X\r\nc IDLE\r\n",
		"{n-}, which go-imap does not know":    login + "a CREATE {8-}\r\nb IDLE\r\n",
		"a literal in a string":                login + "a CREATE \"{20+}\r\n\"\r\nb IDLE\r\n",
		"UNAUTHENTICATE, which does not exist": login + "a UNAUTHENTICATE\r\nb IDLE\r\n",
		"lines without CR":                     login + "a NOOP\nb IDLE\nc idle\n",
		"a literal announced by LF alone":      login + "a CREATE {8+}\nb IDLE\r\n\r\nc IDLE\r\n",
		"a literal8 where none may be":         login + "a CREATE ~{8+}\r\nb IDLE\r\n",
		"a literal of nothing": login + "a CREATE {0+}\r\n\r\nb IDLE\r\n" +
			"c APPEND {0+}\r\n {0+}\r\n\r\nd IDLE\r\n",
		"a literal for a tag":  login + "{8+}\r\na IDLE\r\n NOOP\r\nb IDLE\r\n",
		"a literal for a name": login + "a {4+}\r\nIDLE\r\nb IDLE\r\n",
		"a size beyond 64 bits": login + "a APPEND x {18446744073709551624+}\r\n" +
			"b IDLE\r\n",
		"a size beyond 32 bits":       login + "a APPEND x {4294967304+}\r\nb IDLE\r\n",
		"NUL":                         login + "a NOOP \x00\r\nb IDLE\x00\r\nc \x00IDLE\r\n",
		"a quote that is escaped":     login + "a CREATE \"\\\"\r\nb IDLE\r\n\"\r\nc IDLE\r\n",
		"a backslash that is escaped": login + "a CREATE \"\\\\\"\r\nb IDLE\r\n",
		"a prefix": login + "a UID IDLE\r\nb IDLE \r\nc IDLE\t\r\n" +
			"d (IDLE\r\n",
		"compression":                           login + "a COMPRESS DEFLATE\r\nb IDLE\r\n",
		"a space behind a literal announcement": login + "a CREATE {3+} \r\nabc\r\nb IDLE\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			output := exchange(t, off(t, stub(t)), input)
			assert.NotContains(t, output, "idling")
		})
	}
}

// exchange sends the input in one piece. It returns everything that the server says until it closes
// the connection.
func exchange(t testing.TB, ln *imaptest.Listener, input string) string {
	conn, err := ln.Dial()
	require.NoError(t, err)
	defer conn.Close()
	var output bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(&output, conn)
	}()
	io.WriteString(conn, input)
	conn.(interface{ CloseWrite() error }).CloseWrite()
	<-done
	return output.String()
}

func TestIMAP4rev2(t *testing.T) {
	const cannot = "NO [CANNOT] IDLE is switched off on this server"
	newSession := imaptest.Memory(imaptest.User("karen"))
	connect := func(caps ...imap.Cap) *imaptest.Conn {
		set := imap.CapSet{}
		for _, c := range caps {
			set[c] = struct{}{}
		}
		ln := imaptest.Listen()
		start(
			t,
			newServer(quiet(imapserver.Options{NewSession: newSession, InsecureAuth: true, Caps: set})),
			ln,
		)
		c := dial(t, ln)
		c.Line()
		require.True(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass")))
		return c
	}

	both := connect(imap.CapIMAP4rev1, imap.CapIMAP4rev2)
	assert.Equal(t, "BAD Unknown command", imaptest.Last(both.Cmd("b IDLE")))
	assert.Equal(t, "* ENABLED IMAP4rev2", both.Cmd("c ENABLE IMAP4rev2")[0])
	assert.Equal(t, cannot, imaptest.Last(both.Cmd("d IDLE")))
	both.Cmd("e CAPABILITY")
	assert.Equal(t, cannot, imaptest.Last(both.Cmd("f IDLE")))

	only := connect(imap.CapIMAP4rev2)
	assert.Equal(t, cannot, imaptest.Last(only.Cmd("b IDLE")))
	assert.Equal(t, "* CAPABILITY IMAP4rev2", only.Cmd("c CAPABILITY")[0])
}

func TestIMAP4rev2IsNoMoreEnabledAfterUnauthenticate(t *testing.T) {
	c := dial(t, off(t, func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return mechanisms{names: []string{"PLAIN"}}, nil, nil
	}))
	c.Line()
	for range 2 {
		require.True(t, imaptest.IsOK(c.Cmd("a LOGIN u p")))
		assert.Equal(t, "BAD Unknown command", imaptest.Last(c.Cmd("b IDLE")))
		require.True(t, imaptest.IsOK(c.Cmd("c ENABLE IMAP4rev2")))
		assert.Equal(t, "NO [CANNOT] IDLE is switched off on this server", imaptest.Last(c.Cmd("d IDLE")))
		require.True(t, imaptest.IsOK(c.Cmd("e UNAUTHENTICATE")))
	}
}

// Outside of APPEND, go-imap takes a literal of up to 4096 bytes. A longer one is refused, whether
// or not the client waits to send it, and nothing of it is taken for a command.
func TestTheLongestLiteralThatIsNoMessage(t *testing.T) {
	const inside = "x\r\nb NOOP\r\nd NOOP "
	for _, begin := range []string{"", "0 LOGIN u p\r\nf SELECT x\r\n"} {
		for size, want := range map[int]string{
			4096: "e OK", 4097: "e NO [LIMIT]", 1 << 20: "e NO [LIMIT]",
		} {
			command := "e LOGIN u"
			if begin != "" {
				command = "e UID SEARCH TEXT"
			}
			literal := inside + strings.Repeat("x", size-len(inside))
			input := fmt.Sprintf("%s%s {%d+}\r\n%s\r\nc NOOP\r\n", begin, command, size, literal)
			said := exchange(t, off(t, stub(t)), input)
			assert.Contains(t, said, "\r\n"+want)
			assert.NotContains(t, said, "\r\nb ")
			assert.Contains(t, said, "\r\nc OK NOOP completed\r\n")

			said = exchange(t, off(t, stub(t)), fmt.Sprintf("%s%s {%d}\r\n", begin, command, size))
			if size > 4096 {
				assert.Contains(t, said, "\r\n"+want)
			} else {
				assert.Contains(t, said, "\r\n+ ")
			}
		}
	}
}

// The literal of a command that the guard itself refuses is not taken for a command either.
func TestTheLiteralOfACommandThatIsRefused(t *testing.T) {
	for name, input := range map[string]string{
		"before login":    "a SELECT {8+}\r\n",
		"IDLE":            "0 LOGIN u p\r\na IDLE {8+}\r\n",
		"after a message": "0 LOGIN u p\r\na APPEND x {3+}\r\nabc {8+}\r\n",
		"after a long line behind a message": "0 LOGIN u p\r\na APPEND x {3+}\r\nabc" +
			strings.Repeat("x", 52000) + " {8+}\r\n",
	} {
		said := exchange(t, off(t, stub(t)), input+"b NOOP\r\n\r\nc NOOP\r\n")
		assert.NotContains(t, said, "\r\nb ", name)
		assert.Contains(t, said, "\r\nc OK NOOP completed\r\n", name)
	}
}

func TestNetConnLeadsToTheSocket(t *testing.T) {
	seen := make(chan net.Conn, 2)
	newSession := func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		seen <- c.NetConn()
		return imaptest.Stub{}, nil, nil
	}
	plain, secure := imaptest.Listen(), imaptest.Listen()
	start(
		t,
		newServer(
			quiet(imapserver.Options{NewSession: newSession, TLSConfig: imaptest.ServerTLS()}),
		),
		plain,
		tls.NewListener(secure, imaptest.ServerTLS()),
	)
	type netConn interface{ NetConn() net.Conn }

	c := dial(t, plain)
	conn := <-seen
	socket := conn.(netConn).NetConn()
	assert.Equal(t, "192.0.2.1:50000", socket.RemoteAddr().String())
	assert.Equal(t, socket.LocalAddr(), conn.LocalAddr())
	c.Line()
	c.Cmd("a STARTTLS")
	upgraded := imaptest.NewConn(t, tls.Client(c.Conn, imaptest.ClientTLS()))
	upgraded.Cmd("b NOOP")
	assert.Equal(t, socket, conn.(netConn).NetConn().(*tls.Conn).NetConn())
}

// An empty Write shows whether the connection can still be written to.
func TestAnEmptyWriteTellsThatTheConnectionIsClosed(t *testing.T) {
	listener := imaptest.Listen()
	go listener.Dial()
	conn, err := newListener(listener).Accept()
	require.NoError(t, err)
	n, err := conn.Write(nil)
	assert.Zero(t, n)
	require.NoError(t, err)
	conn.Close()
	_, err = conn.Write(nil)
	assert.ErrorIs(t, err, net.ErrClosed)
}

// After UNAUTHENTICATE the bytes before login count from zero. Bytes that were sent while logged in
// do not count.
func TestLoginBytesAfterUNAUTHENTICATE(t *testing.T) {
	ln := imaptest.Listen()
	options := quiet(imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return mechanisms{names: []string{"PLAIN"}}, nil, nil
		},
		InsecureAuth: true,
	})
	start(t, guardedServer(options, wire.Config{Limits: func(net.Conn) wire.Limits {
		return wire.Limits{LoginBytes: 100}
	}}), ln)
	c := dial(t, ln)
	c.Line()
	for range 5 {
		for range 7 {
			assert.True(t, imaptest.IsOK(c.Cmd("a NOOP")))
		}
		assert.True(t, imaptest.IsOK(c.Cmd("b LOGIN u p")))
		assert.True(t, imaptest.IsOK(c.Cmd("c CREATE "+strings.Repeat("x", 200))))
		assert.True(t, imaptest.IsOK(c.Cmd("d UNAUTHENTICATE")))
	}
	c.Send("e NOOP " + strings.Repeat("x", 100))
	assert.Equal(t, []string{"* BYE [LIMIT] Too much was sent without a login"}, c.Rest())
}

// echo is a session that repeats the name of a client that it does not know.
type echo struct{ imaptest.Stub }

func (echo) Login(username, _ string) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Text: "There is no " + username}
}

// A backend that repeats what a client sends lets it split a response. That must not look like a
// login.
func TestAGreetingThatIsAClientsOwnWords(t *testing.T) {
	ln := imaptest.Listen()
	start(t, guardedServer(quiet(imapserver.Options{
		NewSession: always(echo{}), InsecureAuth: true,
	}), wire.Config{Limits: func(net.Conn) wire.Limits {
		return wire.Limits{LoginBytes: 100}
	}}), ln)
	c := dial(t, ln)
	c.Line()
	c.Send("a LOGIN {14+}", "x", "* PREAUTH y p")
	assert.Equal(t, []string{"a NO There is no x", "* PREAUTH y"}, []string{c.Line(), c.Line()})
	c.Send("b NOOP "+strings.Repeat("x", 100), "c LOGOUT")
	assert.Equal(t, []string{"* BYE [LIMIT] Too much was sent without a login"}, c.Rest())
}

// Before login a long tag costs the connection: go-imap would hold it in memory several times.
func TestALongTag(t *testing.T) {
	ln := imaptest.Listen()
	start(t, newServer(quiet(imapserver.Options{NewSession: stub(t), InsecureAuth: true})), ln)
	short, long := strings.Repeat("a", 1000), strings.Repeat("a", 1100)

	c := dial(t, ln)
	c.Line()
	assert.True(t, imaptest.IsOK(c.Cmd(short+" LOGIN u p")))
	assert.True(t, imaptest.IsOK(c.Cmd(long+" NOOP")))
	assert.True(t, imaptest.IsOK(c.Cmd(strings.Repeat(long, 10)+" NOOP")))

	c = dial(t, ln)
	c.Line()
	c.Send(long + " LOGIN u p")
	assert.Equal(t, []string{"* BYE [LIMIT] The tag of the command is too long"}, c.Rest())
}

func TestALongCommandBeforeLogin(t *testing.T) {
	ln := imaptest.Listen()
	start(t, newServer(quiet(imapserver.Options{NewSession: stub(t), InsecureAuth: true})), ln)
	c := dial(t, ln)
	c.Line()
	for _, command := range []string{
		"LOGIN u " + strings.Repeat("p", 17<<10),
		"LOGIN u \"" + strings.Repeat("p", 17<<10) + "\"",
		"AUTHENTICATE PLAIN " + strings.Repeat("A", 17<<10),
		"CAPABILITY" + strings.Repeat(" ", 17<<10),
	} {
		assert.Equal(t, []string{"a NO [LIMIT] The command is too large"}, c.Cmd("a "+command))
		assert.True(t, imaptest.IsOK(c.Cmd("b NOOP")))
	}
	assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN u "+strings.Repeat("p", 15<<10))))
	assert.True(t, imaptest.IsOK(c.Cmd("b CREATE "+strings.Repeat("x", 45<<10))))
}
