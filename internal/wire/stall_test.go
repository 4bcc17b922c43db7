package wire_test

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/wire"
)

// If a client stalls, go-imap gives up its command. Then go-imap may take the next bytes for
// something that the client did not mean.
func TestNoWayAroundByStalling(t *testing.T) {
	login := "0 LOGIN u p\r\n"
	for name, pieces := range map[string][]string{
		"in the message of an APPEND": {login + "a APPEND x {100+}\r\n" +
			"abc", "b IDLE\r\n", "c NOOP\r\n"},
		"before it": {login + "a APPEND x {100}\r\n", "b IDLE\r\n", "c NOOP\r\n"},
		"behind it": {login + "a APPEND x {3+}\r\n" +
			"abc", "b IDLE\r\n", "c NOOP\r\n"},
		"behind it, in a literal8": {login + "a APPEND x UTF8 (~{3+}\r\n" +
			"abc", "b IDLE\r\n", "c NOOP\r\n"},
		"behind it, in the line": {login + "a APPEND x {3+}\r\n" +
			"abcxyz", "b IDLE\r\n", "c NOOP\r\n"},
		"in a literal": {login + "a CREATE {100+}\r\n" +
			"abc", "b IDLE\r\n", "c NOOP\r\n"},
		"behind a literal":            {login + "a CREATE {3+}\r\nabc", "b IDLE\r\n", "c NOOP\r\n"},
		"in a string":                 {login + "a CREATE \"abc", "b IDLE\r\n", "c NOOP\r\n"},
		"in a line":                   {login + "a CREATE x", "b IDLE\r\n", "c NOOP\r\n"},
		"between CR and LF":           {login + "a CREATE x\r", "b IDLE\r\n", "c NOOP\r\n"},
		"behind a name":               {login + "a NOOP", "b IDLE\r\n", "c NOOP\r\n"},
		"behind IDLE":                 {login + "a IDLE", "\r\nb IDLE\r\n", "c NOOP\r\n"},
		"behind IDLE and a space":     {login + "a IDLE ", "b IDLE\r\n", "c NOOP\r\n"},
		"in an AUTHENTICATE exchange": {"a AUTHENTICATE PLAIN\r\n", "b IDLE\r\n", "c IDLE\r\n"},
		"in a line of it that is complete": {"a AUTHENTICATE PLAIN\r\n" +
			"AHUAcA==", "b IDLE\r\n", "c IDLE\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := off(t, stub(t))
				conn, err := ln.Dial()
				require.NoError(t, err)
				said := make(chan string)
				go func() {
					output, _ := io.ReadAll(conn)
					said <- string(output)
				}()
				for _, piece := range pieces {
					io.WriteString(conn, piece)
					time.Sleep(6 * time.Minute) // go-imap waits 5 min for a message, 30 s for everything else
				}
				conn.(interface{ CloseWrite() error }).CloseWrite()
				assert.NotContains(t, <-said, "idling", name)
			})
		})
	}
}

// What a client sends after it has stalled is still the rest of its command, and it may be the
// words of somebody else. go-imap has given the command up, and would take it for commands.
func TestTheRestOfACommandIsNoCommandAfterAStall(t *testing.T) {
	for name, begin := range map[string]string{
		"in a literal":                 "0 LOGIN u p\r\na CREATE {100+}\r\nabc",
		"behind a literal":             "0 LOGIN u p\r\na CREATE {3+}\r\nabc",
		"before a literal":             "0 LOGIN u p\r\na CREATE {100}\r\n",
		"in a string":                  "0 LOGIN u p\r\na CREATE \"abc",
		"in a line":                    "0 LOGIN u p\r\na CREATE x",
		"behind a name":                "0 LOGIN u p\r\na CREATE",
		"in a message":                 "0 LOGIN u p\r\na APPEND x {100+}\r\nabc",
		"in a command that is refused": "0 LOGIN u p\r\na CREATE {5000+}\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls calls
				ln := imaptest.Listen()
				start(t, guardedServer(quiet(imapserver.Options{
					NewSession: always(watched{calls: &calls}), InsecureAuth: true,
				}), wire.Config{}), ln)
				c := dial(t, ln)
				c.Line()
				io.WriteString(c.Conn, begin)
				time.Sleep(6 * time.Minute) // go-imap waits 5 min for a message, 30 s for everything else
				io.WriteString(c.Conn, "b CREATE stolen\r\n")
				c.Conn.(interface{ CloseWrite() error }).CloseWrite()
				said := c.Rest()
				if name != "in a command that is refused" { // for which go-imap waits as long as for another
					assert.Equal(t, "* BYE The rest of the command did not come in time", said[len(said)-1])
				}
				assert.NotContains(t, strings.Join(calls.list, "\n"), "stolen")
			})
		})
	}
}

// A client that does not answer a challenge, or does not end IDLE, is told that the server waits no
// longer. Nothing of its reply has come, so both agree where the next command begins.
func TestAReplyThatDoesNotComeEndsNoConnection(t *testing.T) {
	for _, test := range []struct {
		begin string
		waits time.Duration
	}{
		{"a AUTHENTICATE PLAIN", 31 * time.Second},
		{"a AUTHENTICATE ASKS\r\nYQ==", 31 * time.Second},
		{"0 LOGIN u p\r\na IDLE", 36 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			ln := imaptest.Listen()
			start(t, guardedServer(quiet(imapserver.Options{
				NewSession: always(asking{watched{calls: &calls{}}}), InsecureAuth: true,
			}), wire.Config{}), ln)
			c := dial(t, ln)
			c.Line()
			c.Send(test.begin)
			time.Sleep(test.waits)
			answer := imaptest.Last(c.Answer("a"))
			assert.Equal(t, "NO [SERVERBUG] Internal server error", answer, test.begin)
			assert.True(t, imaptest.IsOK(c.Cmd("b NOOP")), test.begin)
			assert.True(t, imaptest.IsOK(c.Cmd("c CAPABILITY")), test.begin)
		})
	}
}

// A connection on which a refused message is still dropped may end: no command runs.
func TestDrainDoesNotWaitForAMessageThatIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := imaptest.Listen()
		server := guardedServer(quiet(imapserver.Options{
			NewSession: stub(t), InsecureAuth: true,
		}), wire.Config{})
		start(t, server, ln)
		c := dial(t, ln)
		c.Line()
		c.Send("0 LOGIN u p", "a APPEND x {3+}", "abc {100+}", "half")
		synctest.Wait()
		go server.guard.Drain(t.Context(), "So long")
		assert.Contains(t, c.Rest(), "* BYE So long")
	})
}
