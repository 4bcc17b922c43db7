package fold_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/fold"
)

func TestNamesInNoUTF8(t *testing.T) {
	assert.Equal(t, fold.Username(" R\xe9NE\t"), fold.Username("r\xe9ne"))
	assert.NotEqual(
		t, fold.Username("R\xc9NE"), fold.Username("r\xe9ne"),
		"what bytes beyond ASCII mean is not known",
	)
	assert.Equal(t, "a\xffz[@{", fold.ASCII("A\xffZ[@{"))
}

// narrow makes full-width characters ASCII.
var narrow = func() *strings.Replacer {
	var pairs []string
	for c := '!'; c <= '~'; c++ {
		pairs = append(pairs, string(c+'\uff01'-'!'), string(c))
	}
	return strings.NewReplacer(pairs...)
}()

// Two names have the same key exactly if they differ in case and width only.
func FuzzUsername(f *testing.F) {
	f.Add("karen", "KAREN")
	f.Add("\u03c3", "\u03c2")
	f.Add("\u212aaren", "karen")
	f.Add("stra\u00dfe", "strasse")
	f.Add("\uff2b", "k")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !utf8.ValidString(a) || !utf8.ValidString(b) {
			return
		}
		same := strings.EqualFold(
			narrow.Replace(strings.TrimSpace(a)), narrow.Replace(strings.TrimSpace(b)),
		)
		if (fold.Username(a) == fold.Username(b)) != same {
			t.Errorf("%q is %q, %q is %q", a, fold.Username(a), b, fold.Username(b))
		}
		if fold.Username(fold.Username(a)) != fold.Username(a) {
			t.Errorf("%q is not final", fold.Username(a))
		}
	})
}

func TestWord(t *testing.T) {
	for c := range 256 {
		for shift := 0; shift < 64; shift += 8 {
			for _, others := range []uint64{0, 0x4a6a407f5b60faff} {
				others &^= 0xff << shift
				var want uint64
				for i := 0; i < 64; i += 8 {
					want |= uint64(fold.Byte(byte((others|uint64(c)<<shift)>>i))) << i
				}
				assert.Equal(t, want, fold.Word(others|uint64(c)<<shift))
			}
		}
	}
}
