package vfolders_test

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

// spaces is a mover that announces namespaces.
type spaces struct {
	mover
	data *imap.NamespaceData
	err  error
}

func (s *spaces) session(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return s, nil, nil
}

func (s *spaces) Namespace() (*imap.NamespaceData, error) { return s.data, s.err }

func announce(b *backend) *spaces {
	return &spaces{mover: mover{b}, data: &imap.NamespaceData{
		Personal: []imap.NamespaceDescriptor{{Prefix: "", Delim: '/'}, {Prefix: "INBOX/", Delim: '/'}},
		Other: []imap.NamespaceDescriptor{
			{Prefix: "#users/", Delim: '/'}, {Prefix: "~", Delim: '/'}, {Prefix: "/", Delim: '/'},
			{Prefix: "none/", Delim: 0},
		},
		Shared: []imap.NamespaceDescriptor{{Prefix: "#news.", Delim: '.'}},
	}}
}

// As Dovecot has it. Thunderbird would open "#users" as "#users/#users".
func TestTheRootOfANamespaceIsListedAsNoselect(t *testing.T) {
	s := announce(names('/', "#users/Karen/Inbox subscribed", "INBOX/a/b", "~/x"))
	c := imaptest.Serve(t, vfolders.Wrap(s.session, nil)).Login("bob", "pass")
	assert.Equal(t, []string{
		`LIST (\Noselect \HasChildren) "/" "#users"`, `LIST (\HasChildren) "/" "#users/Karen"`,
		`LIST () "/" "#users/Karen/Inbox"`,
		`LIST (\HasChildren) "/" "INBOX/a"`, `LIST () "/" "INBOX/a/b"`, `LIST (\HasChildren) "/" "~"`,
		`LIST () "/" "~/x"`,
	}, answer(t, c, `LIST "" *`))
	assert.Equal(t, []string{
		`LIST (\Noselect \HasChildren) "/" "#users"`, `LIST (\HasChildren) "/" "#users/Karen"`,
		`STATUS "#users/Karen" (MESSAGES 0)`,
	}, answer(t, c, `LIST "" (#users #users/%) RETURN (STATUS (MESSAGES))`), "no STATUS (RFC 5819)")
	assert.Equal(t, []string{`LSUB (\Noselect \HasChildren) "/" "#users"`}, answer(t, c, `LSUB "" %`))
	assert.Equal(t, []string{
		`LIST (\Noselect \HasChildren) "/" "#users" (CHILDINFO ("SUBSCRIBED"))`,
	}, answer(t, c, `LIST (SUBSCRIBED RECURSIVEMATCH) "" %`))

	s.backend = names('/', "#users/Karen/Inbox", "#users")
	assert.Equal(t, []string{`LIST () "/" "#users"`}, answer(t, c, `LIST "" %`), "it is a mailbox")
}

// The exact commands of a client that has read NAMESPACE, and opens what it is told of there.
func TestTheRootOfANamespaceCanBeOpened(t *testing.T) {
	for _, mailboxes := range [][]string{{"#users/Karen/Inbox"}, {"Drafts"}, nil} {
		s := announce(names('/', mailboxes...))
		for _, options := range []*vfolders.Options{nil, {Prefixes: []string{"#users/", "#news"}}} {
			c := imaptest.Serve(t, vfolders.Wrap(s.session, options)).Login("bob", "pass")
			assert.Contains(t, answer(t, c, "NAMESPACE")[0], `(("#users/" "/")`)
			for _, root := range []string{"#users", "#news"} {
				assert.Contains(t, answer(t, c, "SELECT "+root), "0 EXISTS")
				assert.Contains(t, answer(t, c, "EXAMINE "+root), "OK [UIDVALIDITY 2147483646] UIDs valid")
				assert.Equal(
					t, []string{`STATUS "` + root + `" (MESSAGES 0)`}, answer(t, c, "STATUS "+root+" (MESSAGES)"),
				)
				assert.Equal(t, cannot, imaptest.Last(c.Cmd("a APPEND "+root+" {3+}\r\nabc")))
				s.refusal = refusal("")
				assert.Equal(t, exists, imaptest.Last(c.Cmd("a CREATE "+root)))
				s.refusal = nil
			}
			for _, name := range []string{
				"#users/#users", "#users/", "#USERS", "none", "INBOX", "#users/Bob",
			} {
				assert.Contains(t, imaptest.Last(c.Cmd("a SELECT "+name)), "NO [NONEXISTENT]")
			}
			assert.Equal(
				t, len(mailboxes) > 0 && strings.HasPrefix(mailboxes[0], "#"),
				len(answer(t, c, `LIST "" #users`)) > 0, "what is empty is not listed",
			)
			answer(t, c, "ENABLE IMAP4rev2")
			assert.Contains(t, answer(t, c, "SELECT #news"), `LIST (\HasNoChildren) "." "#news"`)
		}
	}
	s := announce(names('/', "a/b"))
	c := imaptest.Serve(t, vfolders.Wrap(s.session, &vfolders.Options{Prefixes: []string{"a"}})).
		Login("bob", "pass")
	assert.Contains(t, imaptest.Last(c.Cmd("a SELECT #users")), "NO [NONEXISTENT]")
	s = announce(names('/', "#news/b"))
	s.data.Shared[0] = imap.NamespaceDescriptor{Prefix: "#news/", Delim: '/'}
	c = imaptest.Serve(t, vfolders.Wrap(s.session, &vfolders.Options{Prefixes: []string{"#news."}})).
		Login("bob", "pass")
	assert.Contains(t, imaptest.Last(c.Cmd("a SELECT #news")), "NO [NONEXISTENT]")
	c = imaptest.Serve(t, vfolders.Wrap(s.session, &vfolders.Options{Mode: vfolders.NoSelect})).
		Login("bob", "pass")
	assert.Contains(t, imaptest.Last(c.Cmd("a SELECT #users")), "NO [NONEXISTENT]")
}

// Then the client is told of no namespace either.
func TestABackendThatFailsToTellItsNamespaces(t *testing.T) {
	s := announce(names('/', "#users/Karen/Inbox"))
	c := imaptest.Serve(t, vfolders.Wrap(s.session, nil)).Login("bob", "pass")
	for _, s.err = range []error{errBackend, nil} {
		s.data = nil
		assert.Equal(t, []string{`LIST (\HasChildren) "/" "#users"`}, answer(t, c, `LIST "" %`))
		assert.Contains(t, imaptest.Last(c.Cmd("a SELECT #news")), "NO [NONEXISTENT]")
		answer(t, c, "SELECT #users")
	}
}
