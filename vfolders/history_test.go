package vfolders_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

const missing = "NO [NONEXISTENT] No such mailbox"

// checkFolder checks whether the folder a, which only holds a/b, is listed as one to select. It can
// be opened in any case.
func checkFolder(t *testing.T, c *imaptest.Conn, isSelectable bool, why string) {
	t.Helper()
	attrs := `(\HasChildren)`
	if !isSelectable {
		attrs = `(\Noselect \HasChildren)`
	}
	assert.Contains(t, answer(t, c, `LIST "" %`), "LIST "+attrs+` "/" "a"`, why)
	assert.Contains(t, answer(t, c, `LIST "" *`), "LIST "+attrs+` "/" "a"`, why)
	answer(t, c, "SUBSCRIBE a/b")
	assert.Equal(t, []string{`LSUB (\Noselect \HasChildren) "/" "a"`}, answer(t, c, `LSUB "" %`), why)
	listed := answer(t, c, `LIST "" a RETURN (STATUS (MESSAGES))`)
	assert.Equal(t, "LIST "+attrs+` "/" "a"`, listed[0], why)
	assert.Equal(t, isSelectable, len(listed) == 2, "%s: with its status", why)
	for _, command := range []string{"STATUS a (UIDVALIDITY)", "SELECT a", "EXAMINE a"} {
		assert.Contains(t, strings.Join(answer(t, c, command), "\n"), "UIDVALIDITY 2147483646", why)
	}
	c.Cmd("a CLOSE")
}

// A client that has a copy of the mail must not take the empty folder for the mailbox. What nobody
// sees cannot be known: so the mailbox goes away behind the back of the session that saw it.
func TestAMailboxThatGoesAwayIsNoFolderToSelect(t *testing.T) {
	for command, isSeen := range map[string]bool{
		"SELECT a":                true,
		"EXAMINE a":               true,
		"STATUS a (UNSEEN)":       true,
		`LIST "" *`:               true,
		`LIST "" %`:               true,
		`LIST a ""`:               false, // shows the delimiter
		`LIST "" a/%`:             false,
		`LSUB "" *`:               false, // may be of what is no mailbox
		"SELECT a/b":              false,
		"RENAME a/b a/c":          false,
		"STATUS nobody (UNSEEN)":  false,
		`LIST "" (b c)`:           false,
		`LIST (SUBSCRIBED) "" *`:  false,
		"APPEND a {4+}\r\na: b":   false,
		"SUBSCRIBE a":             false,
		`LIST "" a RETURN ()`:     true,
		`LIST "" (a c)`:           true,
		`LIST "" (z % "a/*" "b")`: true,
	} {
		user := imaptest.User("bob", "a", "a/b")
		server := imaptest.Serve(t, vfolders.Wrap(imaptest.Memory(user), nil))
		c, other := server.Login("bob", "pass"), server.Login("bob", "pass")
		c.Cmd("a " + command)
		c.Cmd("a CLOSE")
		c.Cmd("a RENAME a/c a/b")
		assert.NoError(t, user.Delete("a"))
		checkFolder(t, other, !isSeen, command)

		// When it is real again, it is as it is.
		answer(t, other, "CREATE a")
		assert.Contains(t, answer(t, c, `LIST "" %`), `LIST () "/" "a"`)
		answer(t, c, "SELECT a")
		answer(t, c, "CLOSE")
		answer(t, other, "DELETE a")
		checkFolder(t, c, false, command+" and then it is opened")
	}
}

func TestAMailboxThatIsDeletedIsNoFolderToSelect(t *testing.T) {
	user := imaptest.User("bob", "a", "a/b")
	server := imaptest.Serve(t, vfolders.Wrap(imaptest.Memory(user), nil))
	c := server.Login("bob", "pass")
	assert.Equal(t, missing, imaptest.Last(c.Cmd("a DELETE c")))
	answer(t, c, "CREATE c/d")
	answer(t, c, "DELETE a")
	checkFolder(t, c, false, "it was there when it was deleted")
	assert.Contains(t, answer(t, c, `LIST "" %`), `LIST (\HasChildren) "/" "c"`, "it was not")
	assert.Equal(
		t, "NO [CANNOT] This folder only holds other folders", imaptest.Last(c.Cmd("a DELETE a")),
	)
}

// LSUB may show a name without \Noselect that is no mailbox (RFC 3501 section 6.3.9).
func TestASubscriptionIsNoMailbox(t *testing.T) {
	b := names('/', "a/b", "x/y subscribed")
	b.mailboxes = append(b.mailboxes, mailbox{
		ListData: imap.ListData{Mailbox: "a", Delim: '/'}, subscribed: true, kept: true,
	})
	c := connect(t, b.session, nil)
	assert.Equal(t, []string{
		`LSUB () "/" "a"`, `LSUB (\Noselect \HasChildren) "/" "x"`,
	}, answer(t, c, `LSUB "" %`))
	assert.Contains(t, answer(t, c, `LIST "" %`), `LIST (\HasChildren) "/" "a"`)
}

func TestOtherWrapsAndPrefixesRememberNothing(t *testing.T) {
	user := imaptest.User("bob", "a", "a/b", "c", "c/d", "INBOX/x")
	memory := imaptest.Memory(user)
	limited := imaptest.Serve(
		t, vfolders.Wrap(memory, &vfolders.Options{Prefixes: []string{"c"}}),
	).Login("bob", "pass")
	answer(t, limited, "SELECT a")
	answer(t, limited, "SELECT c")
	assert.NoError(t, user.Delete("a"))
	assert.NoError(t, user.Delete("c"))
	listed := answer(t, limited, `LIST "" %`)
	assert.Contains(t, listed, `LIST (\Noselect \HasChildren) "/" "c"`)
	assert.NotContains(t, strings.Join(listed, "\n"), `"a"`)

	fresh := imaptest.Serve(t, vfolders.Wrap(memory, nil)).Login("bob", "pass")
	checkFolder(t, fresh, true, "as after a restart")
}

// people is a backend that lets everybody in, in several ways, and shows all the same mailboxes.
type people struct{ mover }

func (p people) session(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return p, nil, nil
}

func (people) AuthenticateMechanisms() []string { return []string{"PLAIN", "XOTHER"} }

func (people) Authenticate(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, _, password string) error {
		if password != "pass" {
			return imapserver.ErrAuthFailed
		}
		return nil
	}), nil
}

func TestWhoseMailboxItWas(t *testing.T) {
	plain := func(mech, actAs, user, password string) string {
		response := actAs + "\x00" + user + "\x00" + password
		return "AUTHENTICATE " + mech + " " + base64.StdEncoding.EncodeToString([]byte(response))
	}
	const bob, out = "LOGIN bob pass", "UNAUTHENTICATE"
	saslBob, unknown := plain("PLAIN", "", "bob", "pass"), plain("XOTHER", "", "bob", "pass")
	noName := func(imapserver.Session) string { return "" }
	oneName := func(session imapserver.Session) string {
		_, ok := session.(people)
		assert.True(t, ok, "the session is the backend's")
		return "somebody"
	}
	for name, test := range map[string]struct {
		first, second []string
		username      func(imapserver.Session) string
		isSeen        bool
	}{
		"LOGIN twice":         {[]string{bob}, []string{bob}, nil, true},
		"LOGIN and PLAIN":     {[]string{bob}, []string{saslBob}, nil, true},
		"PLAIN and LOGIN":     {[]string{saslBob}, []string{bob}, nil, true},
		"another name":        {[]string{bob}, []string{"LOGIN karen pass"}, nil, false},
		"a name in two cases": {[]string{bob}, []string{"LOGIN Bob pass"}, nil, false},
		"PLAIN to act as somebody": {
			[]string{plain("PLAIN", "bob", "karen", "pass")}, []string{bob}, nil, false,
		},
		"a wrong password of PLAIN": {
			[]string{plain("PLAIN", "", "bob", "guess"), "LOGIN karen pass"}, []string{bob}, nil, false,
		},
		"a name that is not known":   {[]string{unknown}, []string{unknown}, nil, false},
		"only the second is known":   {[]string{unknown}, []string{bob}, nil, false},
		"the first is out":           {[]string{"LOGIN karen pass", out, bob}, []string{bob}, nil, true},
		"the second is out":          {[]string{bob}, []string{bob, out, "LOGIN karen pass"}, nil, false},
		"… and the other is unknown": {[]string{bob}, []string{bob, out, unknown}, nil, false},
		"Username does not know":     {[]string{bob}, []string{saslBob}, noName, true},
		"… and nor does anybody":     {[]string{unknown}, []string{unknown}, noName, false},
		"Username knows":             {[]string{unknown}, []string{unknown}, oneName, true},
		"… and says it is the same":  {[]string{bob}, []string{"LOGIN karen pass"}, oneName, true},
	} {
		b := people{mover{names('/', "a", "a/b", "v/w")}}
		server := imaptest.NewServer(t, &imapserver.Options{
			NewSession:   vfolders.Wrap(b.session, &vfolders.Options{Username: test.username}),
			InsecureAuth: true,
			Caps: imap.CapSet{
				imap.CapIMAP4rev1: {}, imap.CapUnauthenticate: {}, imap.CapListExtended: {},
			},
		})
		login := func(commands []string) *imaptest.Conn {
			c := server.Dial()
			c.Line()
			for _, command := range commands {
				c.Cmd("a " + command)
				c.Cmd(`a LIST "" v`) // asks who it is
			}
			return c
		}
		second := login(test.second)
		c := login(test.first)
		answer(t, c, "SELECT a")
		answer(t, c, "CLOSE")
		b.mailboxes = b.mailboxes[1:]
		checkFolder(t, second, !test.isSeen, name)
	}
}

// The address of a server in a container is another one after each restart. A name that Username
// returns is enough, then.
func TestANameOfUsernameIsTheSameAtEveryAddress(t *testing.T) {
	for name, username := range map[string]func(imapserver.Session) string{
		"":              nil,
		"bob":           func(imapserver.Session) string { return "bob" },
		"somebody else": func(imapserver.Session) string { return "somebody else" },
	} {
		user := imaptest.User("bob", "a", "a/b", "c")
		server := imaptest.Serve(
			t, vfolders.Wrap(imaptest.Memory(user), &vfolders.Options{Username: username}),
		)
		c := server.Login("bob", "pass")
		answer(t, c, "SELECT a")
		other := imaptest.NewConn(t, server.DialFrom("")) // at a Unix socket
		other.Line()
		answer(t, other, "LOGIN bob pass")
		assert.NoError(t, user.Delete("a"))
		checkFolder(t, other, name == "", name)
	}
}
