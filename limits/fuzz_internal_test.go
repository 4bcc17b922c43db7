package limits

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2/imapserver"
)

// Whatever a client says, the name is a piece of what it said, or no longer than that where there are escapes in it.
func FuzzSASLUser(f *testing.F) {
	for _, seed := range []string{"\x00karen\x00pass", "admin\x00karen\x00pass", "n,a=ka=2Cren,\x01auth=x", "n,,n=karen,r=1", "user=karen\x01", ",,", "="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		for _, mech := range []string{"PLAIN", "LOGIN", "EXTERNAL", "XOAUTH2", "OAUTHBEARER", "SCRAM-SHA-256", "X"} {
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

// Two names have the same key exactly if they differ in case only.
func FuzzFoldUser(f *testing.F) {
	f.Add("karen", "KAREN")
	f.Add("\u03c3", "\u03c2")
	f.Add("\u212aaren", "karen")
	f.Add("stra\u00dfe", "strasse")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !utf8.ValidString(a) || !utf8.ValidString(b) {
			return
		}
		same := strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
		if (foldUser(a) == foldUser(b)) != same {
			t.Errorf("%q is %q, %q is %q", a, foldUser(a), b, foldUser(b))
		}
		if foldUser(foldUser(a)) != foldUser(a) {
			t.Errorf("%q is not final", foldUser(a))
		}
	})
}

// A folded pattern matches what the pattern matches.
func FuzzFoldWildcards(f *testing.F) {
	f.Add("*%%*a%", "b/a")
	f.Add("%%/%*%", "a/b/c")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if strings.Count(pattern, "*")+strings.Count(pattern, "%") > 8 || len(pattern)+len(name) > 40 {
			return // go-imap's matcher takes exponential time
		}
		folded, wildcards := foldWildcards(pattern)
		if imapserver.MatchList(name, '/', "", pattern) != imapserver.MatchList(name, '/', "", folded) {
			t.Errorf("%q and %q differ for %q", pattern, folded, name)
		}
		if wildcards != strings.Count(folded, "*")+strings.Count(folded, "%") {
			t.Errorf("%d wildcards in %q", wildcards, folded)
		}
	})
}
