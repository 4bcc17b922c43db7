package attack_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/stack"
)

// aboutMailbox are the commands about a mailbox, ?, for a client that has INBOX selected.
var aboutMailbox = []string{
	"SELECT ?", "EXAMINE ?", "SELECT INBOX", "STATUS ? (MESSAGES UIDVALIDITY)", "SUBSCRIBE ?",
	"UNSUBSCRIBE ?", "APPEND ? {1+}\r\nx", "COPY 1 ?",
	"MOVE 1 ?", "RENAME ? ?/y", "DELETE ?", `LIST "" ?`, `LIST "" ?/%`, `LIST ? %`, `LIST "" ?*`,
	`LSUB "" ?*`, `LIST (SUBSCRIBED) "" ?*`,
	`LIST (SUBSCRIBED RECURSIVEMATCH) "" ?`, `LIST "" ? RETURN (CHILDREN STATUS (MESSAGES))`,
}

// bob has folders that mallory may not see, and their parents exist for bob only. To mallory they
// look like folders that nobody has, before and after bob has opened them.
func TestLearningWhetherAnAccountSharesFolders(t *testing.T) {
	for _, packages := range []string{"everything", "vfolders", "vfolders-noselect"} {
		t.Run(packages, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := imaptest.Serve(t, stack.Wrap(packages, imaptest.Memory(
					imaptest.User(
						"bob", "#users/bob/Work/Secret",
					),
					imaptest.User("mallory", "#users/karen/Shared"),
				)))
				bob, mallory := server.Login("bob", "pass"), server.Login("mallory", "pass")
				mallory.Cmd("a SELECT INBOX")
				look := func(owner string) (all []string) {
					for _, folder := range []string{"", "/Work", "/Work/Secret", "/Work/Secret/x"} {
						for _, command := range aboutMailbox {
							asked := strings.ReplaceAll(command, "?", "#users/"+owner+folder)
							for _, line := range mallory.Cmd("a " + asked) {
								all = append(all, command+": "+strings.ReplaceAll(line, owner, "?"))
							}
						}
					}
					return all
				}
				nobody := look("nob")
				assert.Equal(t, nobody, look("bob"))
				bob.Cmd(`a LIST "" *`)
				bob.Cmd("a SELECT #users/bob/Work")
				bob.Cmd("a SUBSCRIBE #users/bob/Work")
				assert.Equal(t, nobody, look("bob"))
				assert.NotEqual(t, nobody, look("karen"), "what is shared is shown")
			})
		})
	}
}
