package attack_test

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/stack"
	"github.com/imapgate/imapgate/limits"
)

// afterLogin are commands that need a login. The last ones also need an open mailbox.
var afterLogin = []string{
	`LIST "" *`, `LIST (SUBSCRIBED) "" (INBOX *) RETURN (STATUS (MESSAGES))`, `LSUB "" *`, "NAMESPACE",
	"ENABLE IMAP4rev2", "UNAUTHENTICATE",
	"CREATE x", "DELETE x", "RENAME x y", "SUBSCRIBE x", "UNSUBSCRIBE x", "STATUS INBOX (MESSAGES)",
	"IDLE",
	"APPEND INBOX {5+}\r\nx: y\n", "APPEND INBOX (\\Seen) {0+}\r\n", "SELECT INBOX", "EXAMINE INBOX",
	"CLOSE", "UNSELECT", "EXPUNGE", "UID EXPUNGE 1", "FETCH 1 BODY[]", "UID FETCH 1:* FLAGS",
	"STORE 1 FLAGS ()", "UID STORE 1 FLAGS ()",
	"COPY 1 x", "UID COPY 1 x", "MOVE 1 x", "UID MOVE 1 x", "SEARCH ALL",
	"UID SEARCH RETURN (SAVE) ALL",
}

// closed is a session that refuses every login, and panics on any other call.
type closed struct{ imapserver.Session }

func (closed) Close() error { return nil }

func (closed) Login(
	string, string,
) error {
	return imapserver.ErrAuthFailed
}
func (closed) Unauthenticate() error                                  { panic("UNAUTHENTICATE") }
func (closed) Namespace() (*imap.NamespaceData, error)                { panic("NAMESPACE") }
func (closed) Move(*imapserver.MoveWriter, imap.NumSet, string) error { panic("MOVE") }

func TestCommandsBeforeLogin(t *testing.T) {
	for _, command := range afterLogin {
		for name, before := range map[string]string{
			"alone":                      "",
			"behind a LOGIN that failed": "x LOGIN karen guess\r\n",
			"inside AUTHENTICATE":        "x AUTHENTICATE PLAIN\r\n",
		} {
			t.Run(command+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := imaptest.NewServer(t, &imapserver.Options{
						InsecureAuth: true,
						Caps: imap.CapSet{
							imap.CapIMAP4rev1:      {},
							imap.CapUnauthenticate: {},
							imap.CapNamespace:      {},
							imap.CapMove:           {},
						},
						NewSession: stack.Wrap(
							"everything",
							func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
								return closed{}, nil, nil
							},
						),
					})
					c := server.Dial()
					c.Send(before+"a "+command, "z LOGOUT")
					all := c.Rest()
					assert.NotContains(t, strings.Join(all, "\n"), "a OK")
					assert.NotContains(t, server.Log(), "panic")
				})
			})
		}
	}
}

func TestCommandsAfterUNAUTHENTICATE(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := attackable(t, limits.DefaultOptions())
		c, _ := s.login(here, "mallory")
		c.Cmd("a SELECT INBOX")
		assert.True(t, imaptest.IsOK(c.Cmd("a UNAUTHENTICATE")))
		for _, command := range afterLogin {
			assert.Contains(t, imaptest.Last(c.Cmd("a "+command)), "BAD [CLIENTBUG]", command)
		}
		assert.Zero(t, s.limiter.Stats().Sessions)
	})
}

// The server reads a literal that a client announces and discards it, but only for as long as a
// login may take.
func TestHugeLiteralsBeforeLogin(t *testing.T) {
	for name, test := range map[string]struct {
		command string
		waits   bool
	}{
		"LOGIN":                       {"a LOGIN {2000000000}", false},
		"LOGIN, not to be waited for": {"a LOGIN {2000000000+}", false},
		"APPEND":                      {"a APPEND INBOX {100000000}", true},
		"APPEND beyond any limit":     {"a APPEND INBOX {9000000000000000000}", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := attackable(t, limits.DefaultOptions())
				start := time.Now()
				c := s.dialFrom(elsewhere)
				c.Send(test.command)
				line := c.Line()
				if !test.waits {
					assert.Regexp(t, `^a (NO|BAD) `, line)
					return
				}
				assert.Contains(t, line, "+ ")
				go func() {
					for range 90 {
						io.WriteString(c.Conn, strings.Repeat("x", 1000)) // until the server closes the connection
						time.Sleep(time.Second)
					}
				}()
				assert.Equal(t, []string{"* BYE No login within the time allowed"}, c.Rest())
				assert.Equal(t, time.Minute, time.Since(start))
				time.Sleep(time.Minute)
			})
		})
	}
}

// After a line that does not end an IDLE properly, go-imap continues while the session's Idle may
// still run.
func TestIDLEBrokenOffAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := attackable(t, limits.DefaultOptions())
		c, _ := s.login(here, "mallory")
		for range 1000 {
			c.Send("a IDLE")
			assert.Equal(t, "+ idling", c.Line())
			c.Send("b NOOP")
			assert.Contains(t, c.Line(), "a BAD")
		}
		synctest.Wait()
		for _, session := range s.limiter.Sessions() {
			assert.Empty(t, session.Command)
		}
		assert.True(t, imaptest.IsOK(c.Cmd("a NOOP")))
	})
}
