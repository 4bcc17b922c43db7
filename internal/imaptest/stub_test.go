package imaptest_test

import (
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
)

func serveStub(t *testing.T) *imaptest.Server {
	return imaptest.NewServer(t, &imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return imaptest.Stub{}, nil, nil
		},
		InsecureAuth: true,
	})
}

func TestStubAcceptsEverythingAndIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveStub(t).Login("anybody", "anything")
		for _, command := range []string{
			"CREATE a", "RENAME a b", "SUBSCRIBE b", "UNSUBSCRIBE b", "DELETE b", `LIST "" *`, "SELECT a",
			"NOOP",
			"FETCH 1:* FLAGS", "UID FETCH 1:* FLAGS", `STORE 1:* FLAGS (\Seen)`, "COPY 1:* b", "EXPUNGE",
			"UNSELECT",
		} {
			answer := c.Cmd("a " + command)
			assert.True(t, imaptest.IsOK(answer), "%s: %q", command, answer)
			if command != "SELECT a" {
				assert.Len(t, answer, 1, command)
			}
		}
		assert.Equal(t, []string{`* STATUS "a" ()`, "b OK STATUS completed"}, c.Cmd("b STATUS a ()"))
		c.Cmd("c SELECT a")
		assert.Equal(t, []string{"* SEARCH", "d OK SEARCH completed"}, c.Cmd("d SEARCH ALL"))
		assert.Equal(t, []string{"* SEARCH", "e OK UID SEARCH completed"}, c.Cmd("e UID SEARCH ALL"))
		c.Send("f APPEND a {3+}", "abc")
		assert.Equal(t, []string{"f OK APPEND completed"}, c.Answer("f"))
		c.Send("g IDLE")
		assert.Equal(t, "+ idling", c.Line())
		c.Send("DONE")
		assert.Equal(t, []string{"g OK IDLE completed"}, c.Answer("g"))
	})
}

// report is a test that only keeps whether it failed.
type report struct {
	testing.TB
	failed bool
}

func (r *report) Errorf(string, ...any) { r.failed = true }
func (*report) Helper()                 {}

// TestConnReportsWhatItCannotDo is for tests that would pass otherwise because nothing was said.
func TestConnReportsWhatItCannotDo(t *testing.T) {
	for name, use := range map[string]func(c *imaptest.Conn){
		"Line":   func(c *imaptest.Conn) { c.Line() },
		"Answer": func(c *imaptest.Conn) { c.Answer("a") },
		"Send":   func(c *imaptest.Conn) { c.Send("a NOOP") },
		"literal": func(c *imaptest.Conn) {
			assert.Equal(t, []string{"* 1 FETCH (BODY[] {9}\r\nabc"}, c.Rest(), "cut off")
			c.Line()
		},
	} {
		t.Run(name, func(t *testing.T) {
			listener := imaptest.Listen()
			go func() {
				conn, _ := listener.Accept()
				if name == "literal" {
					conn.Write([]byte("* 1 FETCH (BODY[] {9}\r\nabc"))
				}
				conn.Close()
				listener.Close()
			}()
			conn, err := listener.Dial()
			require.NoError(t, err)
			_, err = listener.Dial()
			require.Error(t, err, "the listener is closed")
			r := &report{TB: t}
			use(imaptest.NewConn(r, conn))
			assert.True(t, r.failed)
		})
	}
}

func TestServerReportsWhatItCannotDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &report{TB: t}
		server := imaptest.Serve(r, imaptest.Memory(imaptest.User("karen")))
		server.Login("karen", "wrong")
		assert.True(t, r.failed, "a login that fails")
		r.failed = false
		server.DialFrom("nowhere")
		assert.True(t, r.failed, "an address that is none")
		r.failed = false
		server.Close()
		_, err := server.DialFrom("192.0.2.1").Read(make([]byte, 1))
		assert.Error(t, err)
		assert.True(t, r.failed, "a connection to a closed server")
	})
}

func TestServerLogsAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := imaptest.NewServer(t, &imapserver.Options{
			NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				panic("no sessions today")
			},
		})
		assert.Empty(t, server.Dial().Rest())
		assert.Contains(t, server.Log(), "no sessions today")
	})
}
