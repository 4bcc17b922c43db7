package copymeta_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// noise is a message of size bytes that nobody has in memory.
type noise struct{ size int64 }

func (n noise) reader() io.Reader { return io.LimitReader(&cycle{}, n.size) }

// cycle reads the same random bytes again and again.
type cycle struct{ at int }

var random = func() []byte {
	block := make(
		[]byte, 16381,
	) // a prime, so that no part of a message is where another one has the same
	rand.NewChaCha8([32]byte{}).Read(block)
	return block
}()

func (c *cycle) Read(p []byte) (int, error) {
	n := copy(p, random[c.at:])
	c.at = (c.at + n) % len(random)
	return n, nil
}

func (n noise) WriteTo(w io.Writer) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, n.reader(), make([]byte, 16<<10))
}

// sink is a backend that compares what is appended with noise, and keeps nothing.
type sink struct {
	*backend
	appended atomic.Int64 // bytes
	equal    bool
}

func (s *sink) Append(
	_ string, r imap.LiteralReader, _ *imap.AppendOptions,
) (*imap.AppendData, error) {
	want := noise{r.Size()}.reader()
	s.equal = true
	got, expected := make([]byte, 16<<10), make([]byte, 16<<10)
	for {
		n, err := r.Read(got)
		s.appended.Add(int64(n))
		if io.ReadFull(want, expected[:n]); string(got[:n]) != string(expected[:n]) {
			s.equal = false
		}
		if err == io.EOF {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
}

func newSink(messages int, size int64) *sink {
	s := &sink{backend: newBackend()}
	for range messages {
		s.mailboxes["INBOX"].add(stored{date: past, stream: noise{size}, size: size})
	}
	return s
}

// peak runs f and returns by how many bytes the heap grew at most.
func peak(f func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	before := stats.HeapAlloc
	var highest uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			runtime.ReadMemStats(&stats)
			highest = max(highest, stats.HeapAlloc)
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond): // how often is looked, not what is waited for
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	return highest - min(before, highest)
}

func TestAMessageOf100MiB(t *testing.T) {
	dir := t.TempDir()
	s := newSink(1, 100<<20)
	c := open(t, s, &copymeta.Options{Flags: copymeta.Reset, TempDir: dir})
	used := peak(func() { assert.True(t, imaptest.IsOK(c.Cmd("a COPY 1 Archive"))) })
	assert.EqualValues(t, 100<<20, s.appended.Load())
	assert.True(t, s.equal)
	assert.Less(t, used, uint64(4<<20))
	assertEmpty(t, dir)
}

func assertEmpty(t *testing.T, dir string) {
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, files)
}

func TestTenThousandMessages(t *testing.T) {
	c := login(t, karen(10_000), reset)
	assert.Equal(
		t, "OK [COPYUID 2 1:10000 1:10000] COPY completed", imaptest.Last(c.Cmd("a COPY 1:* Archive")),
	)
}

func TestMemoryAndFileTogether(t *testing.T) {
	// The second does not fit any more, the third does.
	for _, maxMemory := range []int64{0, 1, 10, 16, 1000} {
		t.Run(fmt.Sprint(maxMemory), func(t *testing.T) {
			dir := t.TempDir()
			b := newBackend(
				stored{content: "ten bytes."}, stored{content: "twenty bytes, twenty"},
				stored{content: "six..."}, stored{},
			)
			c := open(
				t, b, &copymeta.Options{InternalDate: copymeta.Reset, MaxMemory: maxMemory, TempDir: dir},
			)
			require.True(t, imaptest.IsOK(c.Cmd("a COPY 1:* Archive")))
			assert.Equal(t, contents(b.mailboxes["INBOX"]), contents(b.mailboxes["Archive"]))
			assertEmpty(t, dir)
		})
	}
}

func TestTheFileHasNoNameWhileItIsUsed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not allow it")
	}
	dir := t.TempDir()
	b := newBackend(stored{content: "one"}, stored{content: "two"})
	looked := 0
	b.items = func(w *imapserver.FetchResponseWriter, m *stored, options *imap.FetchOptions) {
		writeItems(w, m, options)
		assertEmpty(t, dir)
		looked++
	}
	c := open(t, b, &copymeta.Options{InternalDate: copymeta.Reset, MaxMemory: 1, TempDir: dir})
	require.True(t, imaptest.IsOK(c.Cmd("a COPY 1:* Archive")))
	assert.Equal(t, 4, looked, "at each of two messages, which are looked up and read")
}

func TestAFolderThatCannotBeWrittenTo(t *testing.T) {
	dir := t.TempDir() + "/gone"
	require.NoError(t, os.Mkdir(dir, 0o700))
	b := newBackend(stored{content: "one"})
	c := open(t, b, &copymeta.Options{InternalDate: copymeta.Reset, MaxMemory: 1, TempDir: dir})
	require.NoError(t, os.Remove(dir))
	assert.Equal(t, "NO [SERVERBUG] Internal server error", imaptest.Last(c.Cmd("a COPY 1 Archive")))
	assert.Equal(t, []string{"FETCH 1", "FETCH 1 whole"}, b.calls)
}

func TestMaxBytes(t *testing.T) {
	b := newBackend(
		stored{content: "four"}, stored{content: "five."}, stored{content: strings.Repeat("x", 100)},
	)
	c := open(t, b, &copymeta.Options{Flags: copymeta.Reset, MaxBytes: 9})
	assert.Equal(
		t, "NO [LIMIT] These messages are too large to be copied at once",
		imaptest.Last(c.Cmd("a COPY 3 Archive")),
	)
	assert.Equal(
		t, "NO [LIMIT] These messages are too large to be copied at once",
		imaptest.Last(c.Cmd("b COPY 1:* Archive")),
	)
	assert.Equal(t, []string{"FETCH 3", "FETCH 1:*"}, b.calls, "nothing is read")
	assert.True(t, imaptest.IsOK(c.Cmd("c COPY 1:2 Archive")))
}
