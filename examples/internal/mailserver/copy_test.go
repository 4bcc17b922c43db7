package mailserver

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

func TestCopyPolicies(t *testing.T) {
	for _, test := range []struct {
		date, flags         string
		wantDate, wantFlags bool
	}{
		{"keep", "keep", true, true},
		{"preserve", "preserve", true, true},
		{"reset", "keep", false, true},
		{"keep", "reset", true, false},
		{"reset", "reset", false, false},
	} {
		t.Run(test.date+" "+test.flags, func(t *testing.T) {
			s := startServer(t, "-copy-date", test.date, "-copy-flags", test.flags, "-shared", "bob:Archive")
			c := s.selected("karen")
			for _, dest := range []string{"Sent", "#users/bob/Archive"} {
				untagged(t, c, "SELECT INBOX")
				untagged(t, c, `STORE 1 FLAGS (\Seen $Label1)`)
				untagged(t, c, "COPY 1 "+dest)
				untagged(t, c, "EXAMINE "+dest)
				copied := untagged(t, c, "FETCH 1 (FLAGS INTERNALDATE)")[0]
				assert.Equal(t, !test.wantDate, time.Since(internalDate(t, copied)) < time.Hour, copied)
				if test.wantFlags {
					assert.Contains(t, copied, `\seen`)
					assert.Contains(t, copied, `$label1`)
				} else {
					assert.Contains(t, copied, "FLAGS ()")
				}
			}
		})
	}
}

// Copies are bounded unless a flag says otherwise.
func TestCopiesAreBounded(t *testing.T) {
	s := &settings{}
	newFlags(s)
	assert.Equal(t, *copymeta.DefaultOptions(), s.copies)

	c := startServer(t, "-copy-flags", "reset", "-copy-max-bytes", "100").selected("karen")
	assert.Equal(
		t, "NO [LIMIT] These messages are too large to be copied at once",
		imaptest.Last(c.Cmd("a COPY 1:* Archive")),
	)
}

// A message that is moved stays the same, also to another user.
func TestMoveKeepsDateAndFlags(t *testing.T) {
	s := startServer(t, "-copy-date", "reset", "-copy-flags", "reset", "-shared", "bob:Archive")
	c := s.selected("karen")
	for _, dest := range []string{"Sent", "#users/bob/Archive"} {
		untagged(t, c, "SELECT INBOX")
		untagged(t, c, `STORE 1 FLAGS (\Flagged)`)
		untagged(t, c, "MOVE 1 "+dest)
		untagged(t, c, "SELECT "+dest)
		moved := untagged(t, c, "FETCH 1 (FLAGS INTERNALDATE)")[0]
		assert.Contains(t, moved, `FLAGS (\flagged)`)
		assert.Greater(t, time.Since(internalDate(t, moved)), time.Hour)
	}
}

func internalDate(t *testing.T, fetched string) time.Time {
	t.Helper()
	match := regexp.MustCompile(`INTERNALDATE "([^"]+)"`).FindStringSubmatch(fetched)
	require.NotNil(t, match, fetched)
	date, err := time.Parse("_2-Jan-2006 15:04:05 -0700", match[1])
	require.NoError(t, err)
	return date
}
