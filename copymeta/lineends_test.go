package copymeta_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// curl appends a file as it is. imapmemserver adds the CRs that its header lacks when it delivers
// it, and does not count them in RFC822.SIZE.
func TestAMessageWithBareLFsIsCopiedAsItIsDelivered(t *testing.T) {
	for _, options := range []*copymeta.Options{reset, {Flags: copymeta.Preserve, MaxMemory: 1}} {
		user := karen(1)
		user.Append(
			"INBOX", strings.NewReader("A: b\nC: d\n e\n\nbody\nand\r\nmore\n"), &imap.AppendOptions{},
		)
		c := login(t, user, options)
		source := c.Cmd("f FETCH 2 BODY.PEEK[]")
		assert.Contains(t, c.Cmd("f FETCH 2 RFC822.SIZE")[0], "SIZE 29)")
		require.True(t, imaptest.IsOK(c.Cmd("a COPY 1:2 Archive")))
		c.Cmd("s SELECT Archive")
		assert.Equal(t, source, c.Cmd("f FETCH 2 BODY.PEEK[]"))
		assert.Contains(t, c.Cmd("f FETCH 2 RFC822.SIZE")[0], "SIZE 33)", "as the content is")
	}
}

// Others store no CRs, and count none.
func TestABackendThatCountsLineEndsAsOneByte(t *testing.T) {
	content := "A: b\r\nC: d\r\n\r\nbody\r\nand more\r\n"
	full := int64(len(content))
	for name, test := range map[string]struct {
		options copymeta.Options
		counts  string // what the size is of
		want    string
	}{
		"in memory":   {counts: strings.ReplaceAll(content, "\r", ""), want: "OK [COPYUID 7 1:3 41:43]"},
		"in the file": {copymeta.Options{MaxMemory: 1}, strings.ReplaceAll(content, "\r", ""), "OK ["},
		"the header":  {counts: strings.Replace(content, "\r", "", 3), want: "OK [COPYUID 7 1:3 41:43]"},
		"too many":    {counts: "x" + strings.ReplaceAll(content, "\r", ""), want: "NO [SERVERBUG] M"},
		"too few":     {counts: strings.ReplaceAll(content[1:], "\r", ""), want: "NO [SERVERBUG] M"},
		"some":        {counts: strings.Replace(content, "\r", "", 4), want: "NO [SERVERBUG] Message w"},
		"shortened":   {counts: content + "x", want: "NO [SERVERBUG] Message with UID 2 cannot"},
		"MaxBytes": {
			copymeta.Options{MaxBytes: 2*3 + 2*full - 6}, strings.ReplaceAll(content, "\r", ""),
			"NO [LIMIT] These messages are too large to be copied at once",
		},
		"MaxTotalBytes": {
			copymeta.Options{MaxTotalBytes: full - 1}, strings.ReplaceAll(content, "\r", ""),
			"NO [LIMIT] Too much is being copied at once - try again later",
		},
		"room enough": {
			copymeta.Options{MaxBytes: 3 + 5 + 2*full - 5, MaxTotalBytes: full},
			strings.ReplaceAll(content, "\r", ""), "OK [COPYUID 7 1:3 41:43]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(
				stored{content: "one"}, stored{content: content}, stored{content: "three"},
			)
			b.answer = func(r *responder) {
				for i, m := range r.all {
					stated := *m
					if m.content == content {
						stated.size = int64(len(test.counts))
					}
					r.write(i+1, &stated, "uid size flags date body")
				}
			}
			test.options.Flags, test.options.TempDir = copymeta.Reset, t.TempDir()
			c := open(t, b, &test.options)
			for i := range 2 { // what was taken has been given back
				last := imaptest.Last(c.Cmd("a COPY 1:3 Archive"))
				if i == 0 || !strings.HasPrefix(last, "OK ") {
					assert.Contains(t, last, test.want)
				}
				want := []string{}
				if strings.HasPrefix(test.want, "OK ") {
					want = []string{"one", content, "three"}
				}
				assert.ElementsMatch(t, want, contents(b.mailboxes["Archive"]), fmt.Sprint(i))
				b.mailboxes["Archive"].messages = nil
			}
			assertEmpty(t, test.options.TempDir)
		})
	}
}

// Nothing is shorter than lines of nothing.
func TestAMessageOfLineEndsAlone(t *testing.T) {
	for content, want := range map[string]string{
		"\r\n": "OK [COPYUID 7 1 41]", "\r\n\r\n\r\n": "OK [COPYUID 7 1 41]", "\r\n\r": "NO [SERVERBUG]",
	} {
		b := newBackend(stored{content: content})
		b.answer = func(r *responder) {
			stated := *r.all[0]
			stated.size = int64(strings.Count(content, "\n"))
			r.write(1, &stated, "uid size flags date body")
		}
		c := open(t, b, reset)
		assert.Contains(t, imaptest.Last(c.Cmd("a COPY 1 Archive")), want, "%q", content)
	}
}
