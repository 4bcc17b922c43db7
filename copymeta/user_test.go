package copymeta_test

import (
	"encoding/base64"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// authenticating is a backend with mechanisms of its own, which lets nobody named Eve in.
type authenticating struct{ *waiting }

func (a authenticating) AuthenticateMechanisms() []string { return []string{"PLAIN", "XOTHER"} }

func (a authenticating) Authenticate(mech string) (sasl.Server, error) {
	if mech == "XBROKEN" {
		return nil, imapserver.ErrAuthFailed
	}
	return sasl.NewPlainServer(
		func(_, username, password string) error { return a.Login(username, password) },
	), nil
}

func (a authenticating) Login(username, _ string) error {
	if username == "eve" {
		return imapserver.ErrAuthFailed
	}
	return nil
}

// Two COPYs, each of which needs half of the files, wait for each other if one user has both.
func TestWhoseCopiesTheyAre(t *testing.T) {
	authenticate := func(mech, user string) string {
		response := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00pass"))
		return "a AUTHENTICATE " + mech + " " + response
	}
	login := func(user string) string { return "a LOGIN " + user + " pass" }
	for name, test := range map[string]struct {
		first, second []string
		same          bool
	}{
		"LOGIN":            {[]string{login("karen")}, []string{login("karen")}, true},
		"in capitals":      {[]string{login("karen")}, []string{login("KAREN")}, true},
		"AUTHENTICATE":     {[]string{authenticate("PLAIN", "karen")}, []string{login("karen")}, true},
		"another user":     {[]string{login("bob")}, []string{authenticate("PLAIN", "karen")}, false},
		"a wrong password": {[]string{login("eve"), login("bob")}, []string{login("bob")}, true},
		"nobody knows who": {
			[]string{authenticate("XOTHER", "karen")}, []string{authenticate("XOTHER", "karen")}, false,
		},
		"no such mechanism": {
			[]string{authenticate("XBROKEN", "karen"), login("bob")}, []string{login("karen")}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next := make(chan struct{})
				var backends []*backend
				server := imaptest.Serve(t, copymeta.Wrap(func(
					*imapserver.Conn,
				) (imapserver.Session, *imapserver.GreetingData, error) {
					b := newBackend(stored{content: "fifty", size: 50})
					b.mailboxes["INBOX"].messages[0].stream = noise{50}
					backends = append(backends, b)
					return authenticating{&waiting{b, next}}, nil, nil
				}, &copymeta.Options{
					Flags: copymeta.Reset, MaxMemory: 1, MaxTotalBytes: 100, TempDir: t.TempDir(),
				}))
				var clients []*imaptest.Conn
				for _, lines := range [][]string{test.first, test.second} {
					c := server.Dial()
					c.Line()
					for _, line := range lines {
						c.Cmd(line)
					}
					require.True(t, imaptest.IsOK(c.Cmd("s SELECT INBOX")))
					c.Send("a COPY 1 Archive")
					clients = append(clients, c)
					synctest.Wait()
				}
				assert.Contains(t, backends[0].calls, "FETCH 1 whole")
				assert.Equal(t, test.same, len(backends[1].calls) == 1, "%q", backends[1].calls)
				for range clients {
					next <- struct{}{}
				}
				for _, c := range clients {
					assert.True(t, imaptest.IsOK(c.Answer("a")))
				}
			})
		})
	}
}
