package limits

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapserver"
)

// Whatever a client sends, the name is a part of its message; with escapes, no longer than that
// part.
func FuzzSASLUser(f *testing.F) {
	for _, seed := range []string{
		"\x00karen\x00pass", "admin\x00karen\x00pass", "n,a=ka=2Cren,\x01auth=x", "n,,n=karen,r=1",
		"user=karen\x01", ",,", "=",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		for _, mech := range []string{
			"PLAIN", "LOGIN", "EXTERNAL", "XOAUTH2", "OAUTHBEARER", "SCRAM-SHA-256", "X",
		} {
			user := saslUser(mech, []byte(message))
			escapes := mech == "OAUTHBEARER" || mech == "SCRAM-SHA-256"
			if len(user) > len(message) || !escapes && !strings.Contains(message, user) {
				t.Errorf("%s: %q in %q", mech, user, message)
			}
			if strings.Contains(user, "\x00") && mech == "PLAIN" {
				t.Errorf("%q holds more than a name", user)
			}
		}
	})
}

// A folded pattern matches the same names as the original.
func FuzzFoldWildcards(f *testing.F) {
	f.Add("*%%*a%", "b/a")
	f.Add("%%/%*%", "a/b/c")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if strings.Count(pattern, "*")+strings.Count(pattern, "%") > 8 || len(pattern)+len(name) > 40 {
			return // go-imap's matcher takes exponential time
		}
		folded := foldWildcards(pattern)
		if imapserver.MatchList(name, '/', "", pattern) != imapserver.MatchList(name, '/', "", folded) {
			t.Errorf("%q and %q differ for %q", pattern, folded, name)
		}
		_, effort := foldAll([]string{pattern}, delimiters)
		if effort.wildcards != strings.Count(folded, "*")+strings.Count(folded, "%") {
			t.Errorf("%d wildcards in %q", effort.wildcards, folded)
		}
	})
}
