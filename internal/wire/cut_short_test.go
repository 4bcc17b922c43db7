package wire_test

import (
	"errors"
	"io"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/wire"
)

// mailbox is a session that stores each message that it can read to the end.
type mailbox struct {
	imaptest.Stub
	stored *[]string
}

func (m mailbox) Append(
	_ string, r imap.LiteralReader, _ *imap.AppendOptions,
) (*imap.AppendData, error) {
	message, err := io.ReadAll(r)
	if err != nil {
		return nil, errors.New("the message is incomplete")
	}
	*m.stored = append(*m.stored, string(message))
	return nil, nil
}

// A client that is gone in the middle of a message has not sent a shorter one.
func TestAMessageThatIsCutShortIsNotStored(t *testing.T) {
	for input, want := range map[string][]string{
		"b APPEND x {9+}\r\n":                              nil,
		"b APPEND x {9+}\r\nabc":                           nil,
		"b APPEND x {9}\r\nabc":                            nil,
		"b APPEND x UTF8 (~{9+}\r\nabc":                    nil,
		"b APPEND {1+}\r\nx (\\Seen) {9+}\r\nabc":          nil,
		"b APPEND x {3+}\r\nabc\r\nc APPEND x {3+}\r\nabc": {"abc", "abc"},
		"b APPEND x {0+}\r\n\r\n":                          {""},
	} {
		var stored []string
		ln := imaptest.Listen()
		start(t, guardedServer(quiet(imapserver.Options{
			NewSession: always(mailbox{stored: &stored}), InsecureAuth: true,
			TLSConfig: imaptest.ServerTLS(),
		}), wire.Config{}), ln)
		for _, talk := range []func(testing.TB, *imaptest.Listener, string) string{
			exchange, exchangeOverTLS,
		} {
			stored = nil
			talk(t, ln, "a LOGIN karen pass\r\n"+input)
			assert.Equal(t, want, stored, "%q", input)
		}
	}
}
