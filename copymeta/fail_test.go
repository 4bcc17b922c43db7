package copymeta_test

import (
	"bytes"
	"log"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

func TestACopyThatWouldLoseBytesIsRefused(t *testing.T) {
	user := karen(2)
	user.Append("INBOX", strings.NewReader("no header\r\n"), &imap.AppendOptions{})
	c := login(t, user, reset)
	assert.Equal(
		t,
		"NO [SERVERBUG] Message with UID 3 cannot be read completely (0 bytes instead of 11), "+
			"nothing was copied",
		imaptest.Last(c.Cmd("a COPY 1:* Archive")),
	)
	assert.Empty(t, archive(c))
	assert.True(t, imaptest.IsOK(c.Cmd("b COPY 1:2 Archive")))
}

// No section of imapmemserver's helps with a message that BODY[] gets wrong, so none is tried. If
// this fails, one could be.
func TestNoSectionSavesAMessageWithoutAHeader(t *testing.T) {
	user := imaptest.User("karen")
	user.Append("INBOX", strings.NewReader("no header\r\n\r\nno body"), &imap.AppendOptions{})
	c := login(t, user, nil)
	for _, section := range []string{
		"BODY[]", "BODY[]<0.20>", "BODY[HEADER]", "BODY[TEXT]", "BODY[1]", "BODY[HEADER.FIELDS.NOT (X)]",
		"BINARY[]", "BINARY[1]",
	} {
		item := strings.Replace(section, "[", ".PEEK[", 1)
		assert.Contains(t, c.Cmd("a FETCH 1 (RFC822.SIZE " + item + ")")[0], "{0}\r\n", section)
	}
}

func TestAMessageWithoutWhatWasAskedForIsRefused(t *testing.T) {
	type items = func(*imapserver.FetchResponseWriter, *stored, *imap.FetchOptions)
	without := func(uid, flags, date, body, size bool) items {
		return func(w *imapserver.FetchResponseWriter, m *stored, options *imap.FetchOptions) {
			if !body && len(options.BodySection) > 0 {
				writeSection(w, options.BodySection[0], m)
			}
			if !size && options.RFC822Size {
				w.WriteRFC822Size(m.size)
			}
			if !flags && options.Flags {
				w.WriteFlags(m.flags)
			}
			if !date && options.InternalDate {
				w.WriteInternalDate(m.date)
			}
			if !uid {
				w.WriteUID(m.uid)
			}
		}
	}
	const (
		missing     = "its flags, size or UID is missing"
		missingBody = "its content or UID is missing"
	)
	for name, test := range map[string]struct {
		items items
		want  string
	}{
		"nothing": {without(false, false, false, false, false), ""},
		"uid":     {without(true, false, false, false, false), missing},
		"flags":   {without(false, true, false, false, false), "its flags are missing"},
		"date":    {without(false, false, true, false, false), "its internal date is missing"},
		"body":    {without(false, false, false, true, false), missingBody},
		"size":    {without(false, false, false, false, true), missing},
		"another section": {func(
			w *imapserver.FetchResponseWriter, m *stored, options *imap.FetchOptions,
		) {
			without(false, false, false, true, false)(w, m, options)
			if len(options.BodySection) > 0 {
				writeSection(w, &imap.FetchItemBodySection{Specifier: imap.PartSpecifierText}, m)
			}
		}, missingBody},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(stored{content: "x", date: past})
			b.items = test.items
			c := open(t, b, &copymeta.Options{InternalDate: copymeta.Preserve})
			last := imaptest.Last(c.Cmd("a COPY 1 Archive"))
			if test.want == "" {
				assert.True(t, strings.HasPrefix(last, "OK "), last)
				return
			}
			assert.Contains(t, last, "NO [SERVERBUG] Message with UID ")
			assert.Contains(t, last, "("+test.want+")")
			assert.NotContains(t, b.calls, "APPEND")
		})
	}
}

func TestABackendThatCannotFetch(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{errQuota, "NO [OVERQUOTA] Backend is full"},
		{errInternal, "NO [SERVERBUG] Internal server error"},
		{nil, "NO [SERVERBUG] Internal server error"}, // half of a literal
	} {
		b := newBackend(stored{content: "x"})
		b.fetch = func(w *imapserver.FetchWriter) error {
			if test.err == nil {
				w.CreateMessage(1).WriteBodySection(&imap.FetchItemBodySection{}, 9).Write([]byte("half"))
			}
			return test.err
		}
		c := open(t, b, reset)
		assert.Equal(t, test.want, imaptest.Last(c.Cmd("a COPY 1 Archive")))
		assert.Empty(t, b.mailboxes["Archive"].messages)
	}
}

func TestAFailingAppend(t *testing.T) {
	for _, test := range []struct {
		name    string
		appends int
		err     error
		undo    bool
		undoErr error
		noUIDs  bool
		want    string
		left    []string
		log     string
	}{
		{name: "first", err: errQuota, want: "NO [OVERQUOTA] Backend is full"},
		{
			name: "third", appends: 2, err: errQuota,
			want: "NO [OVERQUOTA] 2 of 3 messages were copied: Backend is full",
			left: []string{"one", "two"},
		},
		{
			name: "internal", appends: 1, err: errInternal,
			want: "NO [SERVERBUG] 1 of 3 messages were copied", left: []string{"one"},
			log: `copymeta: 1 of 3 messages were copied: "disk\r\non fire"` + "\n",
		},
		{name: "undo", appends: 2, err: errQuota, undo: true, want: "NO [OVERQUOTA] Backend is full"},
		{
			name: "undo fails", appends: 2, err: errQuota, undo: true, undoErr: errInternal,
			want: "NO [OVERQUOTA] 2 of 3 messages were copied: Backend is full",
			left: []string{"one", "two"},
			log:  `copymeta: undo of a copy: "disk\r\non fire"` + "\n",
		},
		{
			name: "undo of unknown", appends: 1, err: errQuota, undo: true, noUIDs: true,
			want: "NO [OVERQUOTA] 1 of 3 messages were copied: Backend is full", left: []string{"one"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"})
			b.appends, b.appendError, b.noUIDs = test.appends, test.err, test.noUIDs
			var session imapserver.Session = b
			if test.undo {
				session = &withUndo{b, test.undoErr}
			}
			var logged bytes.Buffer
			options := *reset
			options.Logger = log.New(&logged, "", 0)
			c := open(t, session, &options)
			assert.Equal(t, test.want, imaptest.Last(c.Cmd("a COPY 1:* Archive")))
			assert.Equal(t, test.left, contents(b.mailboxes["Archive"]))
			assert.Equal(t, test.log, logged.String())
		})
	}
}

// A message that is gone before it is read is none of those that were to be copied.
func TestAFailureAfterAMessageHasGone(t *testing.T) {
	b := newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"})
	b.appends, b.appendError = 1, errQuota
	b.onWhole = func() { b.selected.messages = b.selected.messages[1:] }
	c := open(t, b, reset)
	assert.Equal(
		t, "NO [OVERQUOTA] 1 of 2 messages were copied: Backend is full",
		imaptest.Last(c.Cmd("a COPY 1:* Archive")),
	)
}

func TestAPanicInFetchLeavesNothingBehind(t *testing.T) {
	for _, maxMemory := range []int64{1, 100} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			b := newBackend(stored{content: "one"}, stored{content: "two"})
			seen := 0
			b.items = func(w *imapserver.FetchResponseWriter, m *stored, options *imap.FetchOptions) {
				if seen++; seen == 2 {
					panic("backend")
				}
				writeItems(w, m, options)
			}
			server := imaptest.Serve(
				t,
				copymeta.Wrap(
					of(b), &copymeta.Options{Flags: copymeta.Reset, MaxMemory: maxMemory, TempDir: dir},
				),
			)
			c := server.Login("karen", "pass")
			c.Cmd("s SELECT INBOX")
			c.Send("a COPY 1:2 Archive")
			assert.Empty(t, c.Rest())
			synctest.Wait()
			assert.Contains(t, server.Log(), "panic handling command: backend")
			assert.Empty(t, b.mailboxes["Archive"].messages)
			files, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Empty(t, files)
		})
	}
}
