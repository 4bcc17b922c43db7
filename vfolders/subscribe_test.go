package vfolders_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

// An OK to SUBSCRIBE means that the backend keeps it, and then the client is told of it.
func TestASubscriptionIsKeptOrRefused(t *testing.T) {
	forgetful := names('/', "#users/Karen/Inbox")
	c := connect(t, forgetful.session, nil)
	for _, command := range []string{"SUBSCRIBE #users", "UNSUBSCRIBE #users"} {
		assert.Equal(t, cannot, imaptest.Last(c.Cmd("a "+command)))
	}
	assert.Empty(t, answer(t, c, `LSUB "" *`))

	for mode, attrs := range map[vfolders.Mode][2]string{
		vfolders.Selectable: {`\HasChildren`, `\HasChildren`},
		vfolders.NoSelect:   {`\Noselect \HasChildren`, `\NonExistent \HasChildren`},
	} {
		b := names('/', "#users/Karen/Inbox")
		b.keeps = true
		c = connect(t, b.session, &vfolders.Options{Mode: mode})
		answer(t, c, "SUBSCRIBE #users/Karen")
		assert.Equal(t, []string{
			`LSUB (` + attrs[0] + ` \Subscribed) "/" "#users/Karen"`,
		}, answer(t, c, `LSUB "" *`))
		assert.Equal(t, []string{
			`LIST (` + attrs[1] + ` \Subscribed) "/" "#users/Karen"`,
		}, answer(t, c, `LIST (SUBSCRIBED) "" *`))
		assert.Equal(t, []string{
			`LIST (` + attrs[1] + ` \Subscribed) "/" "#users/Karen"`,
		}, answer(t, c, `LIST "" #users/% RETURN (SUBSCRIBED)`))
		// What is below it is another matter, of which only RECURSIVEMATCH makes one.
		answer(t, c, "SUBSCRIBE #users/Karen/Inbox")
		for list, childInfo := range map[string]string{
			"(SUBSCRIBED)": "", "(SUBSCRIBED RECURSIVEMATCH)": ` (CHILDINFO ("SUBSCRIBED"))`,
		} {
			assert.Equal(t, []string{
				`LIST (` + attrs[1] + ` \Subscribed) "/" "#users/Karen"` + childInfo,
			}, answer(t, c, `LIST `+list+` "" #users/%`), list)
			assert.Contains(
				t, answer(t, c, `LIST `+list+` "" *`),
				`LIST (`+attrs[1]+` \Subscribed) "/" "#users/Karen"`+childInfo,
				"%s: it does not matter whether what is below it is listed too", list,
			)
		}
		b.add('/', "other/x")
		answer(t, c, "SUBSCRIBE other/x")
		assert.Len(t, answer(t, c, `LIST (SUBSCRIBED) "" (#users/% %)`), 1)
		answer(t, c, "UNSUBSCRIBE #users/Karen/Inbox")
		answer(t, c, "UNSUBSCRIBE other/x")
		answer(t, c, "UNSUBSCRIBE #users/Karen")
		assert.Empty(t, answer(t, c, `LSUB "" *`))
	}
}

// What nobody subscribed to is no subscription. That something below it is one, CHILDINFO says, and
// \Noselect in LSUB.
func TestAParentOfASubscriptionIsNotSubscribed(t *testing.T) {
	for _, mode := range []vfolders.Mode{vfolders.Selectable, vfolders.NoSelect} {
		c := connect(t, names(
			'/', "a/b subscribed", "a/c", "d/e/f subscribed", "g/h", "i subscribed", "i/j/k subscribed",
		).session, &vfolders.Options{Mode: mode})
		plain := `\HasChildren`
		if mode == vfolders.NoSelect {
			plain = `\NonExistent \HasChildren`
		}
		for command, want := range map[string][]string{
			`LIST (SUBSCRIBED) "" %`: {`LIST () "/" "i"`},
			`LIST (SUBSCRIBED) "" *`: {
				`LIST () "/" "a/b"`, `LIST () "/" "d/e/f"`, `LIST () "/" "i"`, `LIST () "/" "i/j/k"`,
			},
			`LIST (SUBSCRIBED) "" a`: {},
			`LIST "" a RETURN (SUBSCRIBED)`: {
				`LIST (` + plain + `) "/" "a"`,
			},
			`LIST (SUBSCRIBED RECURSIVEMATCH) "" %`: {
				`LIST () "/" "i"`,
				`LIST (` + plain + `) "/" "a" (CHILDINFO ("SUBSCRIBED"))`,
				`LIST (` + plain + `) "/" "d" (CHILDINFO ("SUBSCRIBED"))`,
			},
			// What is returned itself needs nobody to tell of it.
			`LIST (SUBSCRIBED RECURSIVEMATCH) "" *`: {
				`LIST () "/" "a/b"`, `LIST () "/" "d/e/f"`, `LIST () "/" "i"`, `LIST () "/" "i/j/k"`,
			},
			`LIST (SUBSCRIBED RECURSIVEMATCH) "" (a a/b d)`: {
				`LIST () "/" "a/b"`, `LIST (` + plain + `) "/" "d" (CHILDINFO ("SUBSCRIBED"))`,
			},
			`LIST (SUBSCRIBED RECURSIVEMATCH) "" %/%`: {
				`LIST () "/" "a/b"`,
				`LIST (` + plain + `) "/" "d/e" (CHILDINFO ("SUBSCRIBED"))`,
				`LIST (` + plain + `) "/" "i/j" (CHILDINFO ("SUBSCRIBED"))`,
			},
			`LSUB "" *`: {
				`LSUB () "/" "a/b"`, `LSUB () "/" "d/e/f"`, `LSUB () "/" "i"`, `LSUB () "/" "i/j/k"`,
			},
			`LSUB "" %`: {
				`LSUB () "/" "i"`,
				`LSUB (\Noselect \HasChildren) "/" "a"`, `LSUB (\Noselect \HasChildren) "/" "d"`,
			},
			`LSUB "" a/%`: {`LSUB () "/" "a/b"`},
			`LSUB "" %/%`: {
				`LSUB () "/" "a/b"`,
				`LSUB (\Noselect \HasChildren) "/" "d/e"`, `LSUB (\Noselect \HasChildren) "/" "i/j"`,
			},
		} {
			assert.Equal(t, want, answer(t, c, command), "%s, %s", mode, command)
		}
	}
}

func TestSubscriptionOfTheChildren(t *testing.T) {
	c := connect(t, names('/', "#users/Karen/Inbox").session, nil)
	assert.Empty(t, answer(t, c, `LSUB "" *`))
	answer(t, c, "SUBSCRIBE #users/Karen/Inbox")
	assert.Equal(
		t, []string{`LSUB (\Noselect \HasChildren) "/" "#users"`}, answer(t, c, `LSUB "" %`),
	)
	answer(t, c, "UNSUBSCRIBE #users/Karen/Inbox")
	assert.Empty(t, answer(t, c, `LSUB "" %`))
}

// Backends that know RFC 3501 section 6.3.9 themselves cannot tell LSUB from LIST (SUBSCRIBED)
// either. Their entry is no subscription.
func TestAParentThatTheBackendAddsToItsSubscriptions(t *testing.T) {
	c := connect(t, helpful{names('/', "a/b subscribed")}.session, nil)
	assert.Equal(t, []string{`LSUB (\Noselect \HasChildren) "/" "a"`}, answer(t, c, `LSUB "" %`))
	assert.Equal(t, []string{`LIST (\Noselect) "/" "a"`}, answer(t, c, `LIST (SUBSCRIBED) "" %`))
}
