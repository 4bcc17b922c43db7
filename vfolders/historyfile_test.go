package vfolders_test

import (
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

// open opens a history, which is closed when the test ends.
func open(t *testing.T, file string) *vfolders.History {
	t.Helper()
	history, err := vfolders.OpenHistory(file, nil)
	require.NoError(t, err)
	t.Cleanup(func() { history.Close() })
	return history
}

// login logs in to a server that has begun anew. Bob has the mailboxes, in a backend of its own.
func login(t *testing.T, history *vfolders.History, mailboxes ...string) *imaptest.Conn {
	memory := imaptest.Memory(imaptest.User("bob", mailboxes...))
	server := imaptest.Serve(t, vfolders.Wrap(memory, &vfolders.Options{History: history}))
	return server.Login("bob", "pass")
}

// copyOf returns the name of a file that is what a crash would leave of this one.
func copyOf(t *testing.T, file string) string {
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return write(t, string(content))
}

// write returns the name of a file with that content.
func write(t *testing.T, content string) string {
	file := filepath.Join(t.TempDir(), "history")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

// isKnown tells whether the name is listed as that of a mailbox that went away.
func isKnown(t *testing.T, c *imaptest.Conn, name string) bool {
	t.Helper()
	listed := answer(t, c, `LIST "" `+name)
	isKnown := listed[0] == `LIST (\Noselect \HasChildren) "/" "`+name+`"`
	assert.True(t, isKnown || listed[0] == `LIST (\HasChildren) "/" "`+name+`"`, listed[0])
	return isKnown
}

// The mailbox goes away while the server is down, or before anybody has looked at it again.
func TestARestartWithAFileDoesNotForget(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	history := open(t, file)
	answer(t, login(t, history, "a", "a/b"), "SELECT a")
	require.NoError(t, history.Close())
	for range 2 {
		history = open(t, file)
		checkFolder(t, login(t, history, "a/b"), false, "it is known")
		require.NoError(t, history.Close())
		require.NoError(t, history.Close(), "again")
	}
	checkFolder(t, login(t, history, "a/b"), false, "it is known when the file is closed, too")
	checkFolder(t, login(t, nil, "a/b"), true, "it is not without the file")
	if runtime.GOOS != "windows" {
		info, err := os.Stat(file)
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o600), info.Mode())
	}
}

// A crash loses the last second, and nothing else.
func TestACrashLosesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "history")
		c := login(t, open(t, file), "a", "a/b", "c", "c/d")
		answer(t, c, "SELECT a")
		time.Sleep(time.Second - time.Nanosecond)
		answer(t, c, "SELECT c")
		synctest.Wait()
		assert.False(t, isKnown(t, login(t, open(t, copyOf(t, file)), "a/b"), "a"))
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		crashed := open(t, copyOf(t, file))
		c = login(t, crashed, "a/b", "c/d", "e/f")
		assert.True(t, isKnown(t, c, "a"))
		assert.True(t, isKnown(t, c, "c"))
		assert.False(t, isKnown(t, c, "e"))
		c.Close()
	})
}

// A crash may leave any beginning of the file, and what is written then can be read again.
func TestATornFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	history := open(t, file)
	c := login(t, history, "a", "a/b", "c", "c/d")
	empty, err := os.ReadFile(file)
	require.NoError(t, err)
	answer(t, c, "SELECT a")
	answer(t, c, "SELECT c")
	require.NoError(t, history.Close())
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Len(t, whole, len(empty)+16)
	for _, size := range []int{0, 1, 16, 18, 19, 20, 50, 51, 52, 58, 59, 60, 66, 67} {
		file := write(t, string(whole[:size]))
		history := open(t, file)
		c := login(t, history, "a/b", "c/d", "e", "e/f")
		assert.Equal(t, size >= len(whole)-8, isKnown(t, c, "a"), size)
		assert.Equal(t, size >= len(whole), isKnown(t, c, "c"), size)
		answer(t, c, "SELECT e")
		require.NoError(t, history.Close())
		c = login(t, open(t, file), "a/b", "c/d", "e/f")
		assert.Equal(t, size >= len(whole)-8, isKnown(t, c, "a"), size)
		assert.Equal(t, size >= len(whole), isKnown(t, c, "c"), size)
		assert.True(t, isKnown(t, c, "e"), size)
	}
	// The disk may have put zeros in the place of what was not written.
	c = login(t, open(t, write(t, string(whole)+strings.Repeat("\x00", 4093))), "a/b", "c/d", "e/f")
	assert.True(t, isKnown(t, c, "a"))
	assert.True(t, isKnown(t, c, "c"))
	assert.False(t, isKnown(t, c, "e"))
}

// A file that is none of ours stays as it is, and has nothing put beside it.
func TestAForeignFileIsNotTouched(t *testing.T) {
	const later = "imapgate history 2\n"
	for content, want := range map[string]string{
		"x":                             "it is not a history",
		"imapgate hist0":                "it is not a history",
		strings.Repeat("a\n", 100):      "it is not a history",
		strings.Repeat("\x00", 60):      "it is not a history",
		later + strings.Repeat("x", 40): `it has version "2\n" of the format, and not "1\n"`,
		later[:len(later)-1]:            `it has version "2" of the format, and not "1\n"`,
	} {
		file := write(t, content)
		history, err := vfolders.OpenHistory(file, nil)
		assert.Nil(t, history)
		assert.EqualError(t, err, "vfolders: the history "+file+": "+want)
		after, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, content, string(after))
		beside, err := os.ReadDir(filepath.Dir(file))
		require.NoError(t, err)
		assert.Len(t, beside, 1)
	}
	folder := t.TempDir()
	_, err := vfolders.OpenHistory(folder, nil)
	assert.EqualError(t, err, "vfolders: the history "+folder+": it is no ordinary file")
	missing := filepath.Join(folder, "missing", "history")
	_, err = vfolders.OpenHistory(missing, nil)
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, "vfolders: the history "+missing+": ")
}

func TestOneProcessHasTheFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("nobody checks")
	}
	file := filepath.Join(t.TempDir(), "history")
	history := open(t, file)
	_, err := vfolders.OpenHistory(file, nil)
	require.EqualError(
		t, err, "vfolders: the history "+file+": another process, or this one, has opened it already",
	)
	answer(t, login(t, history, "a", "a/b"), "SELECT a")
	require.NoError(t, history.Close())
	history = open(t, file)
	assert.True(t, isKnown(t, login(t, history, "a/b"), "a"))
}

// What a crash left at the place of the next file is in nobody's way.
func TestAHalfWrittenFileIsReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	require.NoError(t, os.WriteFile(file+".new", []byte("imapgate"), 0o600))
	open(t, file)
	assert.NoFileExists(t, file+".new")

	// After an error another attempt can succeed.
	file = filepath.Join(t.TempDir(), "history")
	require.NoError(t, os.MkdirAll(file+".new/x", 0o700))
	_, err := vfolders.OpenHistory(file, nil)
	require.ErrorIs(t, err, fs.ErrExist)
	require.NoError(t, os.RemoveAll(file+".new"))
	open(t, file)
}

func TestTheProgramMayChangeItsFolder(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	history := open(t, "history")
	t.Chdir(t.TempDir())
	answer(t, login(t, history, "a", "a/b"), "SELECT a")
	require.NoError(t, history.Close())
	assert.True(t, isKnown(t, login(t, open(t, filepath.Join(folder, "history")), "a/b"), "a"))
}

// What a link leads to is the file.
func TestALinkToTheFileStays(t *testing.T) {
	file, link := write(t, ""), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(file, link); err != nil {
		t.Skip(err)
	}
	history := open(t, link)
	answer(t, login(t, history, "a", "a/b"), "SELECT a")
	require.NoError(t, history.Close())
	assert.True(t, isKnown(t, login(t, open(t, file), "a/b"), "a"))
}

// notes are what a history logs.
type notes struct {
	mu  sync.Mutex
	all []string
}

func (n *notes) Printf(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, fmt.Sprintf(format, args...))
}

func (n *notes) lines() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.all)
}

// checkFailingDisk checks that no command fails while breakDisk has broken the disk, and that all
// is in the file when it is whole again.
func checkFailingDisk(t *testing.T, file, why string, breakDisk, repair func()) {
	var said notes
	history, err := vfolders.OpenHistory(file, &said)
	require.NoError(t, err)
	defer history.Close()
	c := login(t, history, "a", "a/b", "c", "c/d", "e", "e/f")
	defer c.Close()
	answer(t, c, "SELECT a")
	time.Sleep(time.Second)
	synctest.Wait()

	breakDisk()
	answer(t, c, "SELECT c")
	time.Sleep(time.Second)
	synctest.Wait()
	require.Len(t, said.lines(), 1)
	assert.Regexp(t, "^vfolders: the history is only in memory now: .*"+why+"$", said.lines()[0])
	answer(t, c, "SELECT e")
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	assert.Len(t, said.lines(), 1, "it says so once")

	repair()
	time.Sleep(time.Minute - time.Nanosecond)
	synctest.Wait()
	assert.Len(t, said.lines(), 1, "it tries each minute")
	time.Sleep(time.Nanosecond)
	synctest.Wait()
	require.Len(t, said.lines(), 2)
	assert.Equal(t, "vfolders: the history is in its file again: "+file, said.lines()[1])
	c = login(t, open(t, copyOf(t, file)), "a/b", "c/d", "e/f")
	defer c.Close()
	for _, name := range []string{"a", "c", "e"} {
		assert.True(t, isKnown(t, c, name), name)
	}
}

func TestAFullDiskFailsNoCommand(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it needs /dev/full")
	}
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "history")
		checkFailingDisk(t, file, "no space left on device", func() {
			require.NoError(t, os.Remove(file))
			require.NoError(t, os.Symlink("/dev/full", file))
			require.NoError(t, os.MkdirAll(file+".new/x", 0o700)) // no other file can be made
		}, func() { require.NoError(t, os.RemoveAll(file+".new")) })
	})
}

func TestAFolderThatIsGoneFailsNoCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "folder")
		require.NoError(t, os.Mkdir(folder, 0o700))
		file := filepath.Join(folder, "history")
		checkFailingDisk(t, file, "no such file or directory", func() {
			require.NoError(t, os.RemoveAll(folder))
		}, func() { require.NoError(t, os.Mkdir(folder, 0o700)) })
	})
}

func TestCloseTellsOfADiskThatFails(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	require.NoError(t, os.Mkdir(folder, 0o700))
	history := open(t, filepath.Join(folder, "history"))
	c := login(t, history, "a", "a/b")
	answer(t, c, "SELECT a")
	require.NoError(t, os.RemoveAll(folder))
	assert.ErrorIs(t, history.Close(), fs.ErrNotExist)
	answer(t, c, "SELECT a")
	assert.NoError(t, new(vfolders.History).Close(), "it has no file")
}

// Many sessions of several Wraps at once, and one that closes it meanwhile.
func TestManyUseOneHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	history := open(t, file)
	var mailboxes, children []string
	for i := range 40 {
		mailboxes = append(mailboxes, fmt.Sprint("m", i), fmt.Sprintf("m%d/x", i))
		children = append(children, fmt.Sprintf("m%d/x", i))
	}
	var half, all sync.WaitGroup
	half.Add(4)
	for i := range 4 {
		c := login(t, history, mailboxes...)
		all.Go(func() {
			for j := range 40 {
				answer(t, c, fmt.Sprintf("STATUS m%d (MESSAGES)", (j+10*i)%40))
				if j == 10 {
					half.Done()
				}
			}
		})
	}
	half.Wait()
	require.NoError(t, history.Close())
	all.Wait()
	both := []*imaptest.Conn{login(t, history, children...), login(t, open(t, file), children...)}
	for i := range 40 {
		assert.True(t, isKnown(t, both[0], fmt.Sprint("m", i)), "in memory")
		assert.True(t, isKnown(t, both[1], fmt.Sprint("m", i)), "in the file")
	}
}

// In the mode NoSelect nothing depends on what is remembered, but after a change of the mode it
// does: then a client has copies of mailboxes that have gone away long ago.
func TestAChangeOfTheModeForgetsNothing(t *testing.T) {
	history := &vfolders.History{}
	user := imaptest.User("bob", "a", "a/b")
	memory := imaptest.Memory(user)
	c := imaptest.Serve(
		t, vfolders.Wrap(memory, &vfolders.Options{Mode: vfolders.NoSelect, History: history}),
	).Login("bob", "pass")
	answer(t, c, "SELECT a")
	answer(t, c, "CLOSE")
	require.NoError(t, user.Delete("a"))
	assert.Equal(t, missing, imaptest.Last(c.Cmd("a SELECT a")))
	c = imaptest.Serve(
		t, vfolders.Wrap(memory, &vfolders.Options{History: history}),
	).Login("bob", "pass")
	checkFolder(t, c, false, "it was seen in the other mode")
}

// A logger that panics must not end the program, in which nothing else is wrong with a disk that
// fails. One that is easily made is a nil *log.Logger.
func TestALoggerThatPanicsWhenTheDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "folder")
		require.NoError(t, os.Mkdir(folder, 0o700))
		file := filepath.Join(folder, "history")
		var logger *log.Logger
		history, err := vfolders.OpenHistory(file, logger)
		require.NoError(t, err)
		defer history.Close()
		c := login(t, history, "a", "a/b")
		defer c.Close()
		require.NoError(t, os.RemoveAll(folder))
		answer(t, c, "SELECT a")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.NoError(t, os.Mkdir(folder, 0o700))
		time.Sleep(time.Minute)
		synctest.Wait()
		again := login(t, open(t, copyOf(t, file)), "a/b")
		defer again.Close()
		assert.True(t, isKnown(t, again, "a"))
	})
}
