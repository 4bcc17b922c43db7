package attack_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/stack"
)

// evil are strings that would be an answer of their own if the server sent them unchanged.
var evil = []string{
	"x\r\n* BYE forged", "x\n* BYE forged", "x\r* BYE forged", "\r\na OK forged",
	"x\x00\r\n* BYE forged", "x\" forged", "x\\\" forged",
	"{6}\r\nforged", "x] forged", "x) forged", "\x1b[31mforged", "\xc3\x28\r\n* BYE forged",
	"\x85* BYE forged", "\u2028* BYE forged", "%* forged",
}

// forms are the ways to write a string.
var forms = map[string]func(text string) string{
	"quoted":  quote,
	"literal": func(text string) string { return fmt.Sprintf("{%d+}\r\n%s", len(text), text) },
	"UTF-7":   func(text string) string { return quote(modifiedUTF7(text)) },
}

func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// modifiedUTF7 encodes what is not printable ASCII in base64 (RFC 3501 section 5.1.3).
func modifiedUTF7(text string) string {
	return regexp.MustCompile(`[^ -~]+`).ReplaceAllStringFunc(text, func(run string) string {
		var bytes []byte
		for _, unit := range utf16.Encode([]rune(run)) {
			bytes = append(bytes, byte(unit>>8), byte(unit))
		}
		return "&" + strings.ReplaceAll(base64.RawStdEncoding.EncodeToString(bytes), "/", ",") + "-"
	})
}

// withString are the commands that take a string, %s. In them %v is a virtual folder whose name
// ends in the string, and %d is a mailbox in that folder.
var withString = []string{
	"LOGIN %s pass", "SELECT %s", "EXAMINE %s", "RENAME %s INBOX", "RENAME INBOX %d",
	"SUBSCRIBE %s", "UNSUBSCRIBE %s", "STATUS %s (MESSAGES)", "COPY 1 %s", "MOVE 1 %s",
	"APPEND %s {1+}\r\nx", "APPEND %d {1+}\r\nx",
	"LIST %s *", `LIST "" %s`, `LIST "" (INBOX %s)`, `LSUB "" %s`, "SEARCH TEXT %s",
	"UID SEARCH HEADER %s %s", "SEARCH CHARSET %s ALL",
	"FETCH 1 BODY[HEADER.FIELDS (%s)]", "SELECT %v", "STATUS %v (MESSAGES)", "APPEND %v {1+}\r\nx",
	"RENAME %v x", "CREATE %v",
	"DELETE %s", "RENAME folder %s", "CREATE %s", "CREATE %d",
}

// data matches a literal, whose size is the group, or a quoted string.
var data = regexp.MustCompile(`\{(\d+)\}\r\n|"(?:[^"\\\r\n\x00]|\\["\\])*"`)

// syntax returns the part of an answer that a client takes for the server's own words.
func syntax(answer string) string {
	var own strings.Builder
	for {
		found := data.FindStringSubmatchIndex(answer)
		if found == nil {
			return own.String() + answer
		}
		own.WriteString(answer[:found[0]])
		size := 0
		if found[2] >= 0 {
			size, _ = strconv.Atoi(answer[found[2]:found[3]])
		}
		answer = answer[min(len(answer), found[1]+size):]
	}
}

func TestResponseSplitting(t *testing.T) {
	for form, write := range forms {
		t.Run(form, func(t *testing.T) {
			echoed := 0
			for _, text := range evil {
				synctest.Test(t, func(t *testing.T) {
					server := imaptest.Serve(
						t, stack.Wrap("everything", imaptest.Memory(imaptest.User("karen", "folder"))),
					)
					// In the first pass there is no such mailbox, in the second there is.
					for _, command := range slices.Concat(withString, withString) {
						command = strings.NewReplacer(
							"%s", write(text), "%v", write("folder/"+text), "%d", write("folder/"+text+"/folder"),
						).Replace(command)
						answer := converse(
							server, "LOGIN karen pass", "ENABLE IMAP4rev2", "APPEND INBOX {8+}\r\nx: y\r\n\r\n",
							"SELECT INBOX", command,
						)
						assert.NotContains(t, syntax(answer), "forged", command)
						echoed += strings.Count(answer, "forged")
					}
					// A command that go-imap cannot read may end the connection. What the commands have done shows
					// on the next connection.
					answer := converse(
						server, "LOGIN karen pass", `LIST "" *`, `LSUB "" *`, "ENABLE IMAP4rev2", `LIST "" *`,
					)
					assert.NotContains(t, syntax(answer), "forged")
					echoed += strings.Count(answer, "forged")
					for line := range strings.Lines(server.Log()) {
						assert.NotContains(t, line, "\x1b")
						assert.NotRegexp(t, `^(\* BYE|a OK)`, line)
					}
				})
			}
			assert.NotZero(t, echoed, "nothing was tried")
		})
	}
}

// converse sends the commands on a new connection and returns everything that the server says.
func converse(server *imaptest.Server, commands ...string) string {
	socket := server.DialFrom(here)
	defer socket.Close()
	go io.WriteString(socket, "a "+strings.Join(commands, "\r\na ")+"\r\nz LOGOUT\r\n")
	answer, _ := io.ReadAll(socket)
	return string(answer)
}
