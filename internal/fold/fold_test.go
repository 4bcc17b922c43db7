package fold_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/imapgate/imapgate/internal/fold"
)

// Two names have the same key exactly if they differ in case only.
func FuzzUsername(f *testing.F) {
	f.Add("karen", "KAREN")
	f.Add("\u03c3", "\u03c2")
	f.Add("\u212aaren", "karen")
	f.Add("stra\u00dfe", "strasse")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !utf8.ValidString(a) || !utf8.ValidString(b) {
			return
		}
		same := strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
		if (fold.Username(a) == fold.Username(b)) != same {
			t.Errorf("%q is %q, %q is %q", a, fold.Username(a), b, fold.Username(b))
		}
		if fold.Username(fold.Username(a)) != fold.Username(a) {
			t.Errorf("%q is not final", fold.Username(a))
		}
	})
}
