package vfolders_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

func TestListOfABackendThatFails(t *testing.T) {
	b := names('/', "a/b")
	b.fail = &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeUnavailable,
		Text: "Try again",
	}
	b.refusal = refusal("")
	c := connect(t, mover{b}.session, nil)
	for _, command := range []string{
		`LIST "" *`, `LIST "" %`, "SELECT a", "STATUS a (MESSAGES)", "CREATE a", "DELETE a", "RENAME a x",
		"SUBSCRIBE a", "UNSUBSCRIBE a",
		"APPEND a {1+}\r\nx",
	} {
		assert.Equal(t, "NO [UNAVAILABLE] Try again", imaptest.Last(c.Cmd("a "+command)), command)
	}
	b.fail = errBackend
	assert.Contains(t, imaptest.Last(c.Cmd(`a LIST "" *`)), "NO [SERVERBUG]")
}

// One LIST of the client can be several of the backend. Where one of them fails, nothing is listed.
func TestAListThatFailsHalfway(t *testing.T) {
	b := names('/', "a/b subscribed", "x")
	b.fail = &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeUnavailable,
		Text: "Try again",
	}
	b.refusal = refusal("")
	c := connect(t, mover{b}.session, nil)
	for command, lists := range map[string]int{
		`LIST "" %`: 2, `LIST "" % RETURN (SUBSCRIBED)`: 3, `LIST (SUBSCRIBED RECURSIVEMATCH) "" %`: 3,
		`LSUB "" %`:  3,
		"RENAME x a": 2, "RENAME x a,": 3, "CREATE a,": 2,
	} {
		for after := range lists {
			b.failAfter = after
			assert.Equal(
				t, []string{"a NO [UNAVAILABLE] Try again"}, c.Cmd("a "+command), "%s, after %d", command,
				after,
			)
		}
		b.failAfter = lists
		assert.NotContains(t, imaptest.Last(c.Cmd("a "+command)), "UNAVAILABLE", "%s", command)
	}
}

type panicking struct{ *backend }

func (panicking) List(*imapserver.ListWriter, string, []string, *imap.ListOptions) error {
	panic("in the backend")
}

func (p panicking) session(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return p, nil, nil
}

func TestListOfABackendThatPanics(t *testing.T) {
	server := imaptest.NewServer(
		t,
		&imapserver.Options{
			NewSession:   vfolders.Wrap(panicking{names('/')}.session, nil),
			InsecureAuth: true,
		},
	)
	c := server.Login("bob", "pass")
	c.Send(`a LIST "" *`)
	assert.Empty(t, c.Rest(), "the connection ends, as without a wrapper")
	assert.Contains(t, server.Log(), "panic handling command: in the backend")
}

// Each level of a name becomes a line of the answer, an entry in memory and a folder to match, for
// everybody to whom the name is shown.
func TestDeepNamesCostLittleMoreThanFlatOnes(t *testing.T) {
	var deep []string
	for i := range 100 {
		deep = append(deep, fmt.Sprint(i)+strings.Repeat("/x", 20_000))
	}
	c := connect(t, names('/', deep...).session, nil)
	assert.Len(t, answer(t, c, `LIST "" *`), 100*(20+1))
}

func TestListOfManyMailboxes(t *testing.T) {
	memory := imaptest.Memory(tree())
	lines := answer(
		t, connect(t, vfolders.Wrap(memory, nil), nil), `LIST "" *`,
	) // wrapped twice: the second finds nothing to do
	require.Len(t, lines, 1+1+100+10_000)
	assert.Equal(t, []string{
		`LIST (\HasChildren) "/" "#users"`, `LIST (\HasChildren) "/" "#users/user 0"`,
		`LIST () "/" "#users/user 0/Folder 0"`,
	}, lines[:3])
	assert.Equal(t, `LIST () "/" INBOX`, lines[len(lines)-1])
}

// Each pattern is read once for each mailbox, and all that are above it are found by that.
// BenchmarkPatterns measures what it costs.
func TestManyPatternsOverDeepNames(t *testing.T) {
	var deep []string
	for i := range 100 {
		deep = append(deep, fmt.Sprint(i)+strings.Repeat("/abcd", 19))
	}
	c := connect(t, quick{names('/', deep...)}.session, nil)
	for _, pattern := range []string{"%q ", "*q ", "1%d/q "} {
		command := `a LIST "" (` + strings.Repeat(pattern, 16<<10/len(pattern)) + "x)"
		assert.Len(t, c.Cmd(command), 100+1, "the backend here matches nothing itself")
	}
}

func TestHostilePatterns(t *testing.T) {
	long := strings.Repeat("a", 8000)
	c := connect(t, quick{names('/', long+"/"+long)}.session, nil)
	for _, pattern := range []string{
		strings.Repeat("*a", 7) + "*b", strings.Repeat("*a", 3000) + "*b",
		strings.Repeat("%a", 3000) + "%b", strings.Repeat("*a%a", 2000) + "/b",
		strings.Repeat("*", 20_000), strings.Repeat("a", 20_000),
	} {
		for _, command := range []string{"LIST", "LSUB"} {
			assert.True(t, imaptest.IsOK(c.Cmd(fmt.Sprintf(`a %s "" "%s"`, command, pattern))))
		}
	}
}

// quick is a backend that matches everything.
type quick struct{ *backend }

func (q quick) session(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return q, nil, nil
}

func (q quick) List(w *imapserver.ListWriter, _ string, _ []string, _ *imap.ListOptions) error {
	for _, m := range q.mailboxes {
		if err := w.WriteList(&m.ListData); err != nil {
			return err
		}
	}
	return nil
}

// careless is a backend that changes what it was given.
type careless struct{ *backend }

func (c careless) session(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return c, nil, nil
}

func (c careless) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	err := c.backend.List(w, ref, patterns, options)
	for i := range patterns {
		patterns[i] = "user/bob/" + patterns[i]
	}
	if options.ReturnStatus != nil {
		*options.ReturnStatus = imap.StatusOptions{}
	}
	*options = imap.ListOptions{}
	return err
}

func TestABackendThatChangesWhatItWasGiven(t *testing.T) {
	b := names('/', "a/b subscribed", "a/c/d", "x")
	careful, careless := connect(t, b.session, nil), connect(t, careless{b}.session, nil)
	for _, command := range []string{
		`LIST "" *`, `LIST "" %`, `LIST "a" %`, `LIST "" (% a/%)`, `LIST "" % RETURN (SUBSCRIBED)`,
		`LIST "" a* RETURN (STATUS (MESSAGES UIDNEXT))`, `LIST (SUBSCRIBED RECURSIVEMATCH) "" %`,
		`LSUB "" %`,
	} {
		assert.Equal(t, careful.Cmd("a "+command), careless.Cmd("a "+command), command)
	}
}
