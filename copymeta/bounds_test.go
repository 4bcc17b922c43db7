package copymeta_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// A folder that is gone shows which COPY needs a file.
func TestMaxMemoryIsForAllMessagesTogether(t *testing.T) {
	for maxMemory, want := range map[int64]string{15: "NO [SERVERBUG]", 16: "OK [COPYUID"} {
		dir := filepath.Join(t.TempDir(), "gone")
		require.NoError(t, os.Mkdir(dir, 0o700))
		b := newBackend(stored{content: "ten bytes."}, stored{content: "six..."})
		c := open(
			t, b, &copymeta.Options{InternalDate: copymeta.Reset, MaxMemory: maxMemory, TempDir: dir},
		)
		require.NoError(t, os.Remove(dir))
		assert.Contains(t, imaptest.Last(c.Cmd("a COPY 1:2 Archive")), want)
	}
}

func TestMaxBytesIsForAllMessagesTogether(t *testing.T) {
	for maxBytes, want := range map[int64]string{15: "NO [LIMIT]", 16: "OK [COPYUID"} {
		b := newBackend(stored{content: "ten bytes."}, stored{content: "six..."})
		c := open(t, b, &copymeta.Options{InternalDate: copymeta.Reset, MaxBytes: maxBytes})
		assert.Contains(t, imaptest.Last(c.Cmd("a COPY 1:2 Archive")), want)
	}
}

func TestTheFileIsClosed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux shows what is open")
	}
	dir := t.TempDir()
	b := newBackend(stored{content: "one"}, stored{content: "two"})
	opened := func() (n int) {
		open, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		for _, file := range open {
			if name, _ := os.Readlink("/proc/self/fd/" + file.Name()); strings.HasPrefix(name, dir) {
				n++
			}
		}
		return n
	}
	seen := 0
	b.items = func(w *imapserver.FetchResponseWriter, m *stored, options *imap.FetchOptions) {
		writeItems(w, m, options)
		seen = opened()
	}
	c := open(t, b, &copymeta.Options{InternalDate: copymeta.Reset, MaxMemory: 1, TempDir: dir})
	require.True(t, imaptest.IsOK(c.Cmd("a COPY 1:* Archive")))
	assert.Equal(t, 1, seen)
	assert.Zero(t, opened())
	b.appendError = errQuota
	require.False(t, imaptest.IsOK(c.Cmd("b COPY 1:* Archive")))
	assert.Zero(t, opened())
}

func TestAResponseWithoutABodyHasNotThatOfTheOneBefore(t *testing.T) {
	b := newBackend(stored{content: "one"}, stored{content: "two"})
	b.items = func(w *imapserver.FetchResponseWriter, m *stored, options *imap.FetchOptions) {
		if m.uid == 2 {
			options = &imap.FetchOptions{RFC822Size: true, InternalDate: true, Flags: true}
		}
		writeItems(w, m, options)
	}
	c := open(t, b, reset)
	assert.Contains(
		t, imaptest.Last(c.Cmd("a COPY 1:* Archive")),
		"NO [SERVERBUG] Message with UID 2 cannot be read completely",
	)
	assert.Empty(t, b.mailboxes["Archive"].messages)
}

func TestAMessageThatFetchWritesTwiceIsCopiedOnce(t *testing.T) {
	b := newBackend(stored{content: "one"}, stored{content: "two"})
	b.fetch = func(w *imapserver.FetchWriter) error {
		for _, i := range []int{1, 0, 1} {
			r := w.CreateMessage(uint32(i + 1))
			writeItems(r, b.selected.messages[i], &imap.FetchOptions{
				RFC822Size: true, InternalDate: true, Flags: true,
				BodySection: []*imap.FetchItemBodySection{{}},
			})
			if err := r.Close(); err != nil {
				return err
			}
		}
		return nil
	}
	c := open(t, b, reset)
	assert.Equal(
		t, "OK [COPYUID 7 1:2 41:42] COPY completed", imaptest.Last(c.Cmd("a COPY 1:* Archive")),
	)
	assert.Equal(t, []string{"one", "two"}, contents(b.mailboxes["Archive"]))
}

// noUID is a backend that reports a UIDVALIDITY, but not the UID.
type noUID struct{ *backend }

func (n noUID) Append(
	name string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	data, err := n.backend.Append(name, r, options)
	if data != nil {
		data.UID = 0
	}
	return data, err
}

func TestNoCopyUIDOfHalfAnAnswer(t *testing.T) {
	c := open(t, noUID{newBackend(stored{content: "one"})}, reset)
	assert.Equal(t, "OK COPY completed", imaptest.Last(c.Cmd("a COPY 1 Archive")))

	half := &imap.CopyData{UIDValidity: 5, SourceUIDs: imap.UIDSetNum(1)}
	c = open(t, &withCopier{backend: newBackend(stored{content: "one"}), data: half}, reset)
	assert.Equal(t, "OK COPY completed", imaptest.Last(c.Cmd("a COPY 1 Archive")))
	half = &imap.CopyData{UIDValidity: 5, DestUIDs: imap.UIDSetNum(1)}
	c = open(t, &withCopier{backend: newBackend(stored{content: "one"}), data: half}, reset)
	assert.Equal(t, "OK COPY completed", imaptest.Last(c.Cmd("a COPY 1 Archive")))
}

// A message that keeps \Deleted is gone with the next EXPUNGE of anybody: then its copy must be
// there.
func TestAMoveThatCannotTakeDeletedOffKeepsTheCopies(t *testing.T) {
	b := newBackend(stored{content: "one"})
	b.store = func(_ imap.UIDSet, flags *imap.StoreFlags) error {
		if flags.Op == imap.StoreFlagsDel && len(b.selected.messages[0].flags) == 0 {
			return nil // nothing to take off yet
		}
		b.selected.messages[0].flags = []imap.Flag{imap.FlagDeleted}
		return errQuota
	}
	c := open(t, &withUndo{backend: b}, resetMove)
	assert.Equal(
		t, []string{"a NO [OVERQUOTA] 1 messages were copied, but none was moved: Backend is full"},
		c.Cmd("a MOVE 1 Archive"),
	)
	assert.Equal(t, []string{"one"}, contents(b.mailboxes["Archive"]))
}

func TestMoveWithACopierNeedsTheFlags(t *testing.T) {
	b := &withCopier{backend: newBackend(stored{content: "one"})}
	b.items = func(w *imapserver.FetchResponseWriter, m *stored, _ *imap.FetchOptions) {
		w.WriteUID(m.uid)
	}
	c := open(t, b, resetMove)
	assert.Contains(
		t, imaptest.Last(c.Cmd("a MOVE 1 Archive")),
		"NO [SERVERBUG] Message with UID 1 cannot be read completely",
	)
	assert.Equal(t, []string{"FETCH 1"}, b.calls)
}
