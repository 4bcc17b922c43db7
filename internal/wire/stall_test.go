package wire_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
