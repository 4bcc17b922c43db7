package imapgate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// A literal may be the words of somebody else, such as a message. When go-imap refuses its command,
// a client that does not wait sends the literal all the same, and it must not run as commands.
func TestALiteralIsNeverTakenForCommands(t *testing.T) {
	const inside = "Subject: hello\r\nx CREATE stolen\r\n"
	literal := func(size int) string {
		return fmt.Sprintf("{%d+}\r\n%s%s", size, inside, strings.Repeat("y", size-len(inside)))
	}
	small, large := literal(100), literal(5000)
	for command, want := range map[string]string{
		// go-imap takes the name for UTF-7, also after ENABLE UTF8=ACCEPT
		`APPEND "R&D" ` + small:                            "c NO ",
		`APPEND INBOX ((\Seen)) ` + small:                  "c BAD ",
		`APPEND INBOX "1-1-2026" ` + small:                 "c NO ",
		`APPEND INBOX CATENATE (TEXT ` + small + `)`:       "c BAD ",
		`APPEND INBOX CATENATE (URL x TEXT ` + small + `)`: "c BAD ",
		`APPEND INBOX ` + large:                            "c BAD ",
		`APPEND INBOX ` + small + ` ` + small:              "* 1 EXISTS", // which it does not answer
		`CREATE ` + large:                                  "c NO [LIMIT] ",
		`UID SEARCH TEXT ` + large:                         "c NO [LIMIT] ",
		`SEARCH X-OTHER ` + small:                          "c NO ",
		`LOGIN karen ` + small:                             "c BAD ",
		`LOGIN ` + small + ` ` + small + ` ` + small:       "c BAD ",
		`NOOP ` + small + ` ` + small:                      "c BAD ",
		`X-OTHER ` + small:                                 "c BAD ",
	} {
		t.Run(command[:min(len(command), 40)], func(t *testing.T) {
			server, err := imapgate.NewServer(&imapgate.Options{
				Server: imapserver.Options{
					NewSession: imaptest.Memory(imaptest.User("karen")), InsecureAuth: true,
				},
				Limits: &limits.Options{},
			})
			require.NoError(t, err)
			defer server.Close()
			ln := imaptest.Listen()
			go server.Serve(ln)
			conn, err := ln.Dial()
			require.NoError(t, err)
			c := imaptest.NewConn(t, conn)
			c.Line()
			require.True(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass")))
			require.True(t, imaptest.IsOK(c.Cmd("b SELECT INBOX")))
			c.Send("c "+command, "d LIST \"\" *", "e NOOP")
			said := strings.Join(c.Answer("e"), "\r\n")
			assert.Contains(t, said, want)
			assert.NotContains(t, said, "x OK")
			assert.NotContains(t, said, "stolen")
			assert.Contains(t, said, "d OK")
			assert.Contains(t, said, "e OK")
		})
	}
}
