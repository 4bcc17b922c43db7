package vfolders

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openForTest(t testing.TB, file string) *History {
	t.Helper()
	h, err := OpenHistory(file, nil)
	require.NoError(t, err)
	t.Cleanup(func() { h.Close() })
	return h
}

// keys returns what is remembered.
func (h *History) keys() map[uint64]bool {
	keys := make(map[uint64]bool)
	for i := range h.parts {
		for key := range h.parts[i].young {
			keys[key] = true
		}
		for key := range h.parts[i].old {
			keys[key] = true
		}
	}
	return keys
}

// Clients with any number of names and mailboxes cannot make the file grow. What has been forgotten
// goes from it at last, and what is remembered does not.
func TestTheFileIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 4<<20 + int64(len(historyStart)+len(historyKey{}))
		file := filepath.Join(t.TempDir(), "history")
		h := openForTest(t, file)
		before, shrunk := int64(0), 0
		for i := range 20 {
			h.add(7, fmt.Sprint(i))
			for j := range 30_000 {
				h.file.note(uint64(i)<<32 + uint64(j))
			}
			time.Sleep(writeDelay)
			synctest.Wait()
			info, err := os.Stat(file)
			require.NoError(t, err)
			require.LessOrEqual(t, info.Size(), most)
			require.EqualValues(t, len(historyStart)+len(h.key)+recordSize*h.file.records, info.Size())
			if info.Size() < before {
				shrunk++
				assert.Greater(t, before, most-30_001*recordSize, "it is not written as a whole before")
			}
			before = info.Size()
		}
		assert.Equal(t, 1, shrunk)
		require.NoError(t, h.Close())
		again := openForTest(t, file)
		for i := range 20 {
			assert.True(t, again.has(7, fmt.Sprint(i)))
		}
	})
}

// What is remembered is the same again when the file was written as a whole, with one record for
// each name, and when it was appended to. What has been used lately stays longest.
func TestTheFileFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "history")
		h := openForTest(t, file)
		for i := range 3*generationSize + 10 {
			h.add(7, fmt.Sprint(i))
		}
		used := []string{fmt.Sprint(3*generationSize - 1), fmt.Sprint(3*generationSize - 2)}
		assert.True(t, h.has(7, used[0]), "of the old generation")
		h.file.whole = true
		require.NoError(t, h.Close())
		info, err := os.Stat(file)
		require.NoError(t, err)
		assert.EqualValues(t, len(historyStart)+len(h.key)+recordSize*len(h.keys()), info.Size())

		again := openForTest(t, file)
		assert.Equal(t, h.keys(), again.keys())
		for i := range generationSize {
			assert.True(t, again.has(7, used[0]))
			assert.True(t, again.has(7, used[1]))
			again.add(7, fmt.Sprint("more ", i))
		}
		require.NoError(t, again.Close())
		third := openForTest(t, file)
		assert.Equal(t, again.keys(), third.keys())
		assert.True(t, third.has(7, used[0]))
	})
}

// A file that was opened is appended to until it has its full size.
func TestAFullFileIsWrittenAsAWhole(t *testing.T) {
	head := historyStart + string(make([]byte, len(historyKey{})))
	for before, after := range map[int]int{2: 3, maxRecords: 2} {
		file := filepath.Join(t.TempDir(), "history")
		content := head + string(make([]byte, before*recordSize)) // always the same record
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		h := openForTest(t, file)
		h.add(7, "a")
		require.NoError(t, h.Close())
		info, err := os.Stat(file)
		require.NoError(t, err)
		assert.EqualValues(t, len(head)+after*recordSize, info.Size(), before)
		assert.True(t, openForTest(t, file).has(7, "a"))
	}
}

// A timer that has gone off when the file is closed does not write any more: another process may
// have it.
func TestNothingIsWrittenAfterClose(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	h := openForTest(t, file)
	require.NoError(t, h.Close())
	require.NoError(t, os.Remove(file))
	h.file.whole = true
	h.file.writeDue()
	assert.NoFileExists(t, file)
}

// adder is a logger that adds a name when it is told that the file is written again.
type adder struct{ history *History }

func (a *adder) Printf(format string, _ ...any) {
	if strings.Contains(format, "again") {
		a.history.add(7, "b")
	}
}

// What is seen while the file is being written is written too, if nothing else is seen after it.
func TestWhatIsSeenDuringAWriteIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "history")
		logger := &adder{}
		h, err := OpenHistory(file, logger)
		require.NoError(t, err)
		defer h.Close()
		logger.history = h
		require.NoError(t, os.Remove(file)) // so that the first write fails, and the second does not
		h.add(7, "a")
		time.Sleep(writeDelay + retryDelay)
		synctest.Wait()
		assert.False(t, openForTest(t, copyFile(t, file)).has(7, "b"))
		time.Sleep(writeDelay)
		synctest.Wait()
		assert.True(t, openForTest(t, copyFile(t, file)).has(7, "b"))
	})
}

// While the disk hangs, what waits for it does not grow.
func TestWhatWaitsForTheDiskIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "history")
		h := openForTest(t, file)
		h.file.writing.Lock()
		for i := range 40_000 {
			h.add(uint64(i), "Archive")
			require.LessOrEqual(t, len(h.file.pending), maxPending)
		}
		h.file.writing.Unlock()
		require.NoError(t, h.Close())
		assert.Len(t, h.keys(), 40_000)
		assert.Equal(t, h.keys(), openForTest(t, file).keys())
	})
}

// A disk that is full may take a part of what is appended. What comes after it is not lost.
func TestAPartOfARecordDoesNotSpoilTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "history")
		h := openForTest(t, file)
		h.add(7, "a")
		time.Sleep(writeDelay)
		synctest.Wait()
		require.NoError(t, appendToFile(file, []byte("abc")))
		for _, name := range []string{"b", "c"} {
			h = openForTest(t, copyFile(t, file))
			file = h.file.path
			h.add(7, name)
			time.Sleep(writeDelay)
			synctest.Wait()
		}
		assert.Equal(t, 3, openForTest(t, copyFile(t, file)).len())
	})
}

func copyFile(t *testing.T, file string) string {
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), "history")
	require.NoError(t, os.WriteFile(file, content, 0o600))
	return file
}

// Whatever a file has, it is left as it is, or else can be used and keeps what is added.
func FuzzHistoryFile(f *testing.F) {
	key := string(make([]byte, len(historyKey{})))
	for _, seed := range []string{
		"", "x", historyFormat, historyStart, historyStart + key[1:], historyStart + key,
		historyStart + key + "record 1", historyStart + key + "record 1record", "imapgate history 2\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "history")
		require.NoError(t, os.WriteFile(file, content, 0o600))
		h, err := OpenHistory(file, nil)
		if err != nil {
			after, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, content, after)
			return
		}
		before := h.keys()
		h.add(7, "a")
		require.NoError(t, h.Close())
		again := openForTest(t, file)
		assert.Equal(t, h.keys(), again.keys())
		assert.True(t, again.has(7, "a"))
		for key := range before {
			assert.True(t, again.keys()[key])
		}
	})
}
