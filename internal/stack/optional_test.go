package stack_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/stack"
)

// full is a session of imapmemserver, and has also the optional interfaces that imapmemserver
// lacks.
type full struct {
	imapserver.SessionIMAP4rev2
	memory *imapmemserver.Server
	closed *int
}

var _ imaptest.Full = (*full)(nil)

func newFull(memory *imapmemserver.Server, closed *int) *full {
	return &full{memory.NewSession().(imapserver.SessionIMAP4rev2), memory, closed}
}

func (f *full) Close() error {
	*f.closed++
	return f.SessionIMAP4rev2.Close()
}

func (f *full) AuthenticateMechanisms() []string { return []string{"X-NAME", "X-TOKEN"} }

func (f *full) Authenticate(mech string) (sasl.Server, error) {
	if mech != "X-NAME" {
		return nil, &imap.Error{
			Type: imap.StatusResponseTypeNo,
			Code: imap.ResponseCodeCannot,
			Text: "Not this one",
		}
	}
	return &byName{session: f}, nil
}

func (f *full) Unauthenticate() error {
	f.SessionIMAP4rev2.Close()
	*f = *newFull(f.memory, f.closed)
	return nil
}

func (f *full) AppendLimit() uint32 { return 5000 }

// Move replaces that of imapmemserver, which reports each EXPUNGE twice, and stops in the middle of
// a line when it finds nothing to move.
func (f *full) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	data, err := f.Copy(numSet, dest)
	if err != nil || len(data.SourceUIDs) == 0 {
		return err
	}
	if err := w.WriteCopyData(data); err != nil {
		return err
	}
	deleted := &imap.StoreFlags{
		Op:     imap.StoreFlagsAdd,
		Silent: true,
		Flags:  []imap.Flag{imap.FlagDeleted},
	}
	if err := f.Store(nil, data.SourceUIDs, deleted, &imap.StoreOptions{}); err != nil {
		return err
	}
	return f.Expunge(nil, &data.SourceUIDs) // Poll writes the EXPUNGEs
}

// byName is a mechanism that asks for a name and for a password.
type byName struct {
	session *full
	asked   int
	name    string
}

func (b *byName) Next(response []byte) (challenge []byte, done bool, err error) {
	b.asked++
	switch b.asked {
	case 1:
		return []byte("name?"), false, nil
	case 2:
		b.name = string(response)
		return []byte("password?"), false, nil
	default:
		return nil, true, b.session.Login(b.name, string(response))
	}
}

// said keeps what the server says.
type said struct {
	net.Conn
	bytes bytes.Buffer
}

func (s *said) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.bytes.Write(p[:n])
	return n, err
}

// converse serves one connection through the stack, to a backend with the optional interfaces in
// the set. It returns everything that the server says until it closes the connection, and the first
// line of its log.
func converse(
	t *testing.T, name string, set imaptest.Optional, caps imap.CapSet, client func(*imaptest.Conn),
) (dialogue, logged string) {
	memory := imapmemserver.New()
	memory.AddUser(imaptest.User("karen", "Archive"))
	closed := 0
	var logs bytes.Buffer
	server := stack.NewServer(name, &imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return imaptest.Restrict(newFull(memory, &closed), set), nil, nil
		},
		InsecureAuth: true,
		Caps:         caps,
		Logger:       log.New(&logs, "", 0),
	})
	listener := imaptest.Listen()
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	conn, err := listener.Dial()
	require.NoError(t, err)
	heard := &said{Conn: conn}
	c := imaptest.NewConn(t, heard)
	client(c)
	c.Rest()
	listener.Close()
	<-served
	server.Close()
	synctest.Wait()
	assert.Equal(t, 1, closed, "how often the session was closed")
	logged, _, _ = strings.Cut(logs.String(), "\n")
	return heard.bytes.String(), logged
}

// exchange sends a command, and then each of more when the server asks for it.
func exchange(c *imaptest.Conn, command string, more ...string) {
	tag, _, _ := strings.Cut(command, " ")
	c.Send(command)
	for {
		line := c.Line()
		switch {
		case line == "" || strings.HasPrefix(line, tag+" "):
			return
		case strings.HasPrefix(line, "+") && len(more) > 0:
			c.Send(more[0])
			more = more[1:]
		}
	}
}

// everything uses all that depends on the optional interfaces, in every state.
func everything(c *imaptest.Conn) {
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	message := func(size int) string {
		const header = "Subject: x\r\n\r\n"
		return header + strings.Repeat("x", size-len(header))
	}
	c.Line()
	exchange(c, "a1 CAPABILITY")
	exchange(c, "a2 NAMESPACE")
	exchange(c, "a3 UNAUTHENTICATE")
	exchange(c, "a4 MOVE 1 Archive")
	exchange(c, "a5 AUTHENTICATE X-TOKEN")
	exchange(c, "a6 AUTHENTICATE X-NAME", encode("karen"), encode("wrong"))
	exchange(c, "a7 AUTHENTICATE X-NAME", "*")
	exchange(c, "a8 AUTHENTICATE PLAIN "+encode("\x00karen\x00pass"))
	exchange(c, "a9 AUTHENTICATE X-NAME", encode("karen"), encode("pass"))

	exchange(c, "b1 CAPABILITY")
	exchange(c, "b2 NAMESPACE")
	exchange(c, "b3 APPEND INBOX {5000}", message(5000))
	exchange(c, "b4 APPEND INBOX {5001}", message(5001))
	exchange(c, "b5 APPEND INBOX {20}", message(20))
	exchange(c, "b6 MOVE 1 Archive")
	exchange(c, "b7 SELECT INBOX")
	exchange(c, "b8 MOVE 1 Archive")
	exchange(c, "b9 UID MOVE 2:* Archive")
	exchange(c, "c1 UID MOVE 7 Archive")
	exchange(c, "c2 UID MOVE 1:* Missing")
	exchange(c, "c3 STATUS Archive (MESSAGES UIDNEXT)")
	exchange(c, "c4 UID FETCH 1:* (RFC822.SIZE)")
	exchange(c, "c5 CAPABILITY")

	exchange(c, "d1 UNAUTHENTICATE")
	exchange(c, "d2 CAPABILITY")
	exchange(c, "d3 LOGIN karen pass")
	exchange(c, "d4 SELECT Archive")
	exchange(c, "d5 NAMESPACE")
	exchange(c, "d6 LOGOUT")
}

// supported returns the capabilities that a server may advertise with such a backend.
func supported(set imaptest.Optional) imap.CapSet {
	caps := imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUIDPlus: {}, imap.CapAppendLimit: {}}
	for c, needs := range needed {
		if set&needs == needs {
			caps[c] = struct{}{}
		}
	}
	return caps
}

// needed maps each capability that depends on the backend to the interfaces that it needs.
var needed = map[imap.Cap]imaptest.Optional{
	imap.CapNamespace:      imaptest.HasNamespace,
	imap.CapMove:           imaptest.HasMove,
	imap.CapUnauthenticate: imaptest.HasUnauthenticate,
	imap.CapIMAP4rev2:      imaptest.HasNamespace | imaptest.HasMove,
}

// eachSet runs the test for each stack with each of the 32 backends.
func eachSet(t *testing.T, test func(t *testing.T, name string, set imaptest.Optional)) {
	for _, name := range stack.Names() {
		if name == "bare" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for set := range imaptest.HasAll + 1 {
				t.Run(fmt.Sprintf("%05b", set), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { test(t, name, set) })
				})
			}
		})
	}
}

func TestOptionalInterfacesOfEachBackend(t *testing.T) {
	eachSet(t, func(t *testing.T, name string, set imaptest.Optional) {
		advertised := []imap.CapSet{supported(set), {imap.CapIMAP4rev1: {}}}
		if supported(set).Has(imap.CapIMAP4rev2) {
			advertised = append(advertised, imap.CapSet{imap.CapIMAP4rev2: {}})
		}
		for _, caps := range advertised {
			want, wantLog := converse(t, "bare", set, caps, everything)
			got, gotLog := converse(t, name, set, caps, everything)
			if name == "idle-off" {
				want = strings.ReplaceAll(want, " IDLE ", " ")
			}
			require.Contains(t, want, "d6 OK")
			assert.Equal(t, want, got)
			assert.Equal(t, wantLog, gotLog)
		}
	})
}

func TestServerWithACapabilityThatTheBackendLacks(t *testing.T) {
	eachSet(t, func(t *testing.T, name string, set imaptest.Optional) {
		for c, needs := range needed {
			if set&needs == needs {
				continue
			}
			caps := supported(set)
			caps[c] = struct{}{}
			nothing := func(*imaptest.Conn) {}
			want, wantLog := converse(t, "bare", set, caps, nothing)
			got, gotLog := converse(t, name, set, caps, nothing)
			assert.Contains(t, wantLog, "panic handling command: imapserver: server advertises ")
			assert.Equal(t, wantLog, gotLog)
			assert.Empty(t, want, "the connection is closed without a word")
			assert.Empty(t, got)
		}
	})
}
