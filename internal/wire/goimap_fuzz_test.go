package wire_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/wire"
)

// A fuzzer does not write long inputs by itself. So these bytes, which do not occur in UTF-8, are
// replaced by long text.
const (
	// letters until the line is nearly as long as go-imap allows; the fuzzer adds the rest
	fillCommand = 0xf5
	fillBuffer  = 0xf6 // letters until the line nearly fills its buffer
	literals    = 0xfa // this byte and the next four give literals that end in an IDLE
)

var literalSizes = [...]int{4095, 4096, 4097, 5000, 52000}

func expand(input []byte) []byte {
	var out []byte
	fill := func(to int) {
		if n := to - (len(out) - 1 - bytes.LastIndexByte(out, '\n')); n > 0 {
			out = append(out, strings.Repeat("x", n)...)
		}
	}
	for _, b := range input {
		switch {
		case b == fillCommand:
			fill(50<<10 - 30)
		case b == fillBuffer:
			fill(4<<10 - 4)
		case b >= literals && int(b-literals) < len(literalSizes):
			const end = "\r\nz IDLE\r\n"
			size := literalSizes[b-literals]
			out = fmt.Appendf(out, "{%d+}\r\n%s%s", size, strings.Repeat("y", size-len(end)), end)
		default:
			out = append(out, b)
		}
	}
	return out
}

// The kinds of servers that are fuzzed. They can be combined.
const (
	literalPlus = 1 << iota
	failedAppend
	ownSASL
	loginDisabled
	smallLimits
	idleOn
	overSTARTTLS
	kinds
)

// watched is a session that records its calls, and whether Idle was called.
type watched struct {
	imaptest.Stub
	calls *calls
	kind  byte
}

type calls struct {
	idled atomic.Bool
	mu    sync.Mutex
	list  []string
}

func (w watched) called(what string, args ...any) {
	w.calls.mu.Lock()
	defer w.calls.mu.Unlock()
	text := fmt.Sprintf("%s %#v", what, args)
	w.calls.list = append(w.calls.list, anyIdle.ReplaceAllString(text, "${1}x"))
}

func (w watched) Idle(*imapserver.UpdateWriter, <-chan struct{}) error {
	w.calls.idled.Store(true)
	return nil
}

func (w watched) Login(username, password string) error {
	w.called("LOGIN", username, password)
	return nil
}

func (w watched) Create(name string, _ *imap.CreateOptions) error {
	w.called("CREATE", name)
	return nil
}

func (w watched) Delete(name string) error {
	w.called("DELETE", name)
	return nil
}

func (w watched) Rename(name, newName string, _ *imap.RenameOptions) error {
	w.called("RENAME", name, newName)
	return nil
}

func (w watched) Subscribe(name string) error {
	w.called("SUBSCRIBE", name)
	return nil
}

func (w watched) List(
	_ *imapserver.ListWriter, ref string, patterns []string, _ *imap.ListOptions,
) error {
	w.called("LIST", ref, patterns)
	return nil
}

func (w watched) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	w.called("SEARCH", kind, *criteria)
	return w.Stub.Search(kind, criteria, options)
}

func (w watched) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	w.called("COPY", numSet.String(), dest)
	return nil, nil
}

func (w watched) Append(
	mailbox string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	message, err := io.ReadAll(r)
	w.called("APPEND", mailbox, string(message))
	if w.kind&failedAppend != 0 {
		return nil, errors.New("no room")
	}
	return nil, err
}

// asking is a session with a SASL mechanism that asks twice, with UNAUTHENTICATE, and with a limit
// on messages, beyond which go-imap refuses them before they are sent.
type asking struct{ watched }

func (asking) AppendLimit() uint32 { return 10 }

func (a asking) Unauthenticate() error {
	a.called("UNAUTHENTICATE")
	return nil
}

func (asking) AuthenticateMechanisms() []string { return []string{"LOGIN"} }

func (asking) Authenticate(string) (sasl.Server, error) {
	return new(exchangeOfThree), nil
}

type exchangeOfThree struct{ responses int }

func (e *exchangeOfThree) Next([]byte) (challenge []byte, done bool, err error) {
	e.responses++
	return []byte("more"), e.responses == 3, nil
}

func (w watched) session() imapserver.Session {
	if w.kind&ownSASL != 0 {
		return asking{w}
	}
	return w
}

var (
	anyIdle   = regexp.MustCompile(`(?i)((?:i|ı)dl)e`)
	itsLetter = regexp.MustCompile(`got "[EeXx]"`) // in a syntax error
)

// FuzzAgainstGoIMAP sends the same to a guarded server without IDLE and to go-imap. In what go-imap
// gets, an unknown command replaces IDLE. The guarded server must never idle. Both must say the
// same until go-imap closes the connection because of the unknown command, the guard refuses a
// command for its size, or go-imap takes the rest of a command for others. The guarded backend must
// never get a call that go-imap's does not get.
//
//	go test -run '^$' -fuzz '^FuzzAgainstGoIMAP$' -fuzztime 10m ./internal/wire
func FuzzAgainstGoIMAP(f *testing.F) {
	for _, input := range []string{
		"0 LOGIN u p\r\na CREATE {5000+}\r\nx\r\nb IDLE\r\nDONE\r\n",
		"0 LOGIN u p\r\na APPEND {5000+}\r\nx {3+}\r\nabcJ {8+}\r\nb IDLE\r\n",
		"0 LOGIN u p\r\na APPEND x {3+}\r\nabcJ {8+}\r\nb NOOP\r\n",
		"0 LOGIN u p\r\na APPEND x {0}\r\n\xf6{0+}\r\nb x\r\nc NOOP\r\n",
		"a LOGIN u {3+}\r\nabc\r\nb CREATE {3+}\r\n&&&c NOOP\r\nd NOOP \"\r\ne NOOP\r\n",
		"a AUTHENTICATE PLAIN\r\nAHUAcA==\r\nb SELECT x\r\nc UID SEARCH TEXT {4+}\r\nIDLE\r\n" +
			"d UID FETCH 1:* BODY[]\r\ne LOGOUT\r\n",
		"a NOOP x\rb IDLE\r\n+ NOOP\r\n+ AUTHENTICATE PLAIN\r\n*\r\n" +
			"b LIST (SUBSCRIBED) \"\" (a \"b\" %)\r\n",
		"a AUTHENTICATE LOGIN\r\ndQ==\r\ncA==\r\nb IDLE x\r\nc STATUS IDLE (MESSAGES)\r\nd UID IDLE\r\n",
		"0 LOGIN u p\r\na NOOP \xf5" + strings.Repeat("x", 32) + "b IDLE\r\n",
		"0 LOGIN u p\r\na APPEND x {3+}\r\nabc\xf5" + strings.Repeat("x", 18) + "b IDLE\r\n",
		"0 LOGIN u p\r\na CREATE \"\xf5" + strings.Repeat("x", 32) + "b IDLE\r\nc IDLE\r\n",
		"0 LOGIN u \xfb\r\na CREATE \xfa\r\nb CREATE \xfcx\r\nc CREATE \xfd",
		"0 LOGIN u p\r\na APPEND x \xfb\r\nb APPEND \xfb \xfd\r\nc APPEND \xfc \xfe\r\n" +
			"d APPEND x UTF8 (~\xfe)\r\n",
		"0 LOGIN u p\r\na SELECT x\r\nb SEARCH OR OR NOT ALL ALL NOT (NOT ALL)\r\n" +
			"c UID SEARCH OR ALL OR ALL OR ALL ALL\r\nd NOOP\r\n",
		"0 LOGIN u p\r\na CREATE \"" + strings.Repeat("x", 103) + "\"\r\n" +
			"b CREATE \"" + strings.Repeat("y", 102) + "\\\"z\"\r\nc NOOP\r\n",
		"0 LOGIN u p\r\na RENAME x {90+}\r\n" + strings.Repeat("x", 90) + "\r\n" +
			"b LIST \"\" (x {80+}\r\n" + strings.Repeat("x", 80) + ")\r\nc NOOP\r\n",
		"a LIST \"\" {8+}\r\nb NOOP\r\n\r\nb UID SEARCH x\r\nc CHECK\r\nd CHECK x\r\ne CREATE x\r\n" +
			"f ID NIL\r\n",
		"0 LOGIN u p\r\na IDLE\r\nDONE\r\nb IDLE\r\nx\r\n" +
			"c APPEND x (\\Seen) {90+}\r\n" + strings.Repeat("x", 90) + "\r\nd NOOP\r\n",
		strings.Repeat("a NOOP\r\n", 40) + "0 LOGIN u p\r\n",
		"0 LOGIN u p\r\na UNAUTHENTICATE x\r\nb UNAUTHENTICATE\r\nc SELECT x\r\nd UNAUTHENTICATE\r\n" +
			"e AUTHENTICATE LOGIN\r\n*\r\nf AUTHENTICATE LOGIN =\r\n\r\n=\r\ng CREATE {3+}\r\nabc\r\n" +
			"h APPEND x {11+}\r\ni IDLE\r\n123\r\nj APPEND x {10+}\r\n1234567890\r\nk NOOP\r\n",
		"a AUTHENTICATE PLAIN\r\n\xf6xxxxb IDLE\r\n",
		"a AUTHENTICATE PLAIN \xf6xxxxb IDLE\r\n\xf6 IDLE\r\n",
	} {
		for kind := range byte(kinds) {
			f.Add(kind, []byte(input))
		}
	}
	for _, input := range []string{
		"0 LOGIN u p\r\na CREATE\xfb\xfb\xfb\xfb\xfb\xfb\xfb" + strings.Repeat("x", 100) + "\"\r\n" +
			"b CREATE \"" + strings.Repeat("y", 102) + "\\\"z\"\r\nc NOOP\r\n",
		"a CHECK x\r\nb CHECK\r\nc UID CHECK\r\n", "a CHECK w\xfc\nb CHECK\r\nc UID",
		"a CHECK \r\nb CHECK\r\n",
		"0 LOGIN u p\r\na CREATE \"" + strings.Repeat("x", 110) + "\nb CREATE \"y\\\"z\"\r\nc NOOP\r\n",
		"a APPEND \xfb \xfd\r\nb LOGIN u p\r\n", "a APPEND \x00\xff\xfd\r\nb LOGIN u p\r\n",
		"0 LOGIN u p\r\na CREATE \"x\xf5" + strings.Repeat("x", 80) + "\"\r\n" +
			"b CREATE \"" + strings.Repeat("y", 102) + "\\\"z\"\r\nc NOOP\r\n",
	} {
		f.Add(byte(0), []byte(input))
		f.Add(byte(smallLimits), []byte(input))
	}
	f.Fuzz(func(t *testing.T, kind byte, input []byte) {
		if len(input) > 1<<10 || bytes.Count(input, []byte{fillCommand}) > 4 {
			return
		}
		input = expand(input)
		var theirs, ours calls
		options := func(calls *calls) *imapserver.Options {
			o := strict(t, imapserver.Options{
				NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
					return watched{calls: calls, kind: kind}.session(), nil, nil
				},
				InsecureAuth: kind&loginDisabled == 0,
			})
			if kind&overSTARTTLS != 0 {
				o.TLSConfig = imaptest.ServerTLS()
			}
			if kind&literalPlus != 0 {
				o.Caps = imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapLiteralPlus: {}}
			}
			return o
		}
		config := wire.Config{HideIdle: func() bool { return kind&idleOn == 0 }}
		if kind&smallLimits != 0 {
			config.Limits = func(net.Conn) wire.Limits {
				return wire.Limits{LoginBytes: 200, CommandBytes: 120, SearchDepth: 3}
			}
		}
		bare, guarded := imaptest.Listen(), imaptest.Listen()
		bareServer := imapserver.New(options(&theirs))
		guardedServer := guardedServer(options(&ours), config)
		var wg sync.WaitGroup
		wg.Go(func() { bareServer.Serve(bare) })
		wg.Go(func() { guardedServer.Serve(guarded) })
		defer func() {
			bare.Close()
			guarded.Close()
			wg.Wait()
		}()
		talk := exchange
		if kind&overSTARTTLS != 0 {
			talk = exchangeOverTLS
		}
		got := talk(t, guarded, string(input))
		if kind&idleOn == 0 {
			assert.False(t, ours.idled.Load(), "Idle was called")
			assert.NotContains(t, got, "+ idling")
		}
		if !comparable(string(input), kind&idleOn != 0) {
			return
		}
		hidden := string(input)
		if kind&idleOn == 0 {
			hidden = anyIdle.ReplaceAllString(hidden, "${1}x")
		}
		want := talk(t, bare, hidden)
		// go-imap takes the end of a line that is too long for another command.
		tooLong := len(input) > 50000
		// go-imap may take a literal of a refused command for commands, and the next one for a literal;
		// and it takes a line break in quotes for a part of the text.
		mayDiffer := tooLong || bytes.ContainsAny(input, "{\"")
		takesForCommands := mayAppendTwice(input) ||
			(bytes.Contains(input, []byte("+}")) || hasLongLine(input)) && mistakes.MatchString(got)
		if !takesForCommands && (!onlyGuardRefuses(want, got) || !mayDiffer) {
			assertSubsequence(t, theirs.list, ours.list)
		}
		if tooLong || mayAppendTwice(input) {
			return
		}
		if kind&idleOn == 0 {
			want = strings.ReplaceAll(want, "ENABLE IDLE UTF8", "ENABLE UTF8")
		}
		want = strings.ReplaceAll(want, "+ =\r\n", "+ \r\n")
		want, got = anyIdle.ReplaceAllString(want, "${1}x"), anyIdle.ReplaceAllString(got, "${1}x")
		assertSame(
			t,
			itsLetter.ReplaceAllString(want, "got it"),
			itsLetter.ReplaceAllString(got, "got it"),
			mayDiffer, takesForCommands,
		)
	})
}

// mayAppendTwice reports whether there may be an APPEND with a second message, which go-imap does
// not answer.
func mayAppendTwice(input []byte) bool {
	_, after, ok := bytes.Cut(bytes.ToUpper(input), []byte("APPEND"))
	return ok && bytes.Count(after, []byte("{")) > 1 && bytes.Contains(after, []byte("+}"))
}

// hasLongLine reports whether go-imap may take the end of a line for another one, in an exchange.
func hasLongLine(input []byte) bool {
	for line := range bytes.SplitSeq(input, []byte("\n")) {
		if len(line) >= 4<<10 {
			return true
		}
	}
	return false
}

// onlyGuardRefuses reports whether the guard has refused a command that go-imap answered otherwise.
func onlyGuardRefuses(goIMAP, guarded string) bool {
	wants := strings.Split(goIMAP, "\r\n")
	for i, got := range strings.Split(guarded, "\r\n") {
		refused := overLimit.MatchString(got) || tooEarly.MatchString(got)
		if refused && (i >= len(wants) || got != wants[i]) {
			return true
		}
	}
	return false
}

// assertSubsequence fails unless all of part is in whole, in the same order.
func assertSubsequence(t *testing.T, whole, part []string) {
	rest := whole
	for _, call := range part {
		at := slices.Index(rest, call)
		if at < 0 {
			assert.Fail(t, "the guard has made a command up", "%s\nis not in order in\n%s",
				strings.Join(part, "\n"), strings.Join(whole, "\n"))
			return
		}
		rest = rest[at+1:]
	}
}

// exchangeOverTLS is exchange after STARTTLS.
func exchangeOverTLS(t testing.TB, ln *imaptest.Listener, input string) string {
	conn, err := ln.Dial()
	require.NoError(t, err)
	defer conn.Close()
	c := imaptest.NewConn(t, conn)
	c.Line()
	require.True(t, imaptest.IsOK(c.Cmd("s STARTTLS")))
	secure := tls.Client(conn, imaptest.ClientTLS())
	var output bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(&output, secure)
	}()
	io.WriteString(secure, input)
	secure.CloseWrite()
	<-done
	return output.String()
}

var (
	tooEarly = regexp.MustCompile(
		`^(\S+) (?:BAD \[CLIENTBUG\] This command is only valid in|NO \[PRIVACYREQUIRED\])`,
	)
	mistake   = regexp.MustCompile(`^(\S+) (?:BAD|NO) `)
	mistakes  = regexp.MustCompile(`(?m)^\S+ (?:BAD|NO) `)
	overLimit = regexp.MustCompile(`^\S+ (?:NO|BYE) \[LIMIT\]`)
)

// assertSame compares the answers of go-imap and of the guarded server, up to where they may
// differ. Before login go-imap parses the arguments of a command before it refuses the command. The
// guard only finds where the command ends. After a mistake go-imap may take the rest of a command
// for others.
func assertSame(t *testing.T, goIMAP, guarded string, hasLiterals, takesForCommands bool) {
	wants, gots := strings.Split(goIMAP, "\r\n"), strings.Split(guarded, "\r\n")
	for i := range max(len(wants), len(gots)) {
		want, got := "", ""
		if i < len(wants) {
			want = wants[i]
		}
		if i < len(gots) {
			got = gots[i]
		}
		early := tooEarly.FindStringSubmatch(got)
		wrongCheck := strings.HasSuffix(got, " BAD [CLIENTBUG] Syntax error: expected CRLF")
		switch {
		case want == "* BYE Unknown command":
			return
		case want == "" && strings.HasSuffix(got, " BAD Unknown command"):
			return // the line is incomplete, so this does not matter
		case overLimit.MatchString(got), (early != nil || wrongCheck) && hasLiterals:
			return
		case early != nil && mistake.MatchString(want):
			want, got = mistake.FindStringSubmatch(want)[1], early[1]
		case wrongCheck && strings.HasSuffix(want, " OK CHECK completed"):
			continue // go-imap ignores a space at the end; the guard answers before it sees the end
		case wrongCheck:
			want, _, _ = strings.Cut(want, ", got ") // the guard repeats nothing of the client's
		}
		if want != got {
			assert.Equal(t, goIMAP, guarded, "line %d", i)
			return
		}
		if takesForCommands && mistake.MatchString(got) {
			return
		}
	}
}

// comparable reports whether go-imap must answer this input alike with and without IDLE in it.
func comparable(input string, idleOn bool) bool {
	upper := strings.ToUpper(input)
	hasIdle := strings.Contains(upper, "IDLE")
	encoded := strings.Contains(upper, "AUTHENTICATE") ||
		strings.Contains(upper, "&") // another letter in it changes the meaning
	switch {
	case strings.Contains(noCR(upper), "\x1a"):
		return false
	case idleOn:
		return true
	case strings.Contains(upper, "DONE"):
		return false
	case hasIdle && (encoded || len(input) > 50000): // the replacement is longer than IDLE
		return false
	}
	return true
}
