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
		username      func(imapserver.Session) string
	}{
		"LOGIN":       {first: []string{login("karen")}, second: []string{login("karen")}, same: true},
		"in capitals": {first: []string{login("karen")}, second: []string{login("KAREN")}, same: true},
		"AUTHENTICATE": {
			first: []string{authenticate("PLAIN", "karen")}, second: []string{login("karen")}, same: true,
		},
		"another user": {
			first: []string{login("bob")}, second: []string{authenticate("PLAIN", "karen")},
		},
		"a wrong password": {
			first: []string{login("eve"), login("bob")}, second: []string{login("bob")}, same: true,
		},
		"nobody knows who": {
			first:  []string{authenticate("XOTHER", "karen")},
			second: []string{authenticate("XOTHER", "karen")},
		},
		"no such mechanism": {
			first:  []string{authenticate("XBROKEN", "karen"), login("bob")},
			second: []string{login("karen")},
		},
		"the backend knows who": {
			first: []string{authenticate("XOTHER", "karen")}, second: []string{login("alias")}, same: true,
			username: func(session imapserver.Session) string {
				_, isBackend := session.(authenticating)
				assert.True(t, isBackend)
				return "karen"
			},
		},
		"the backend does not know either": {
			first: []string{login("karen")}, second: []string{login("karen")}, same: true,
			username: func(imapserver.Session) string { return "" },
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
					Username: test.username,
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
