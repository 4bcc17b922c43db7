package copymeta_test

import (
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// inAProcess runs the test in a process of its own, where files may be limited: this one has other
// files to write. It returns true there.
func inAProcess(t *testing.T) bool {
	const variable = "IMAPGATE_TEST_OWN_PROCESS"
	if os.Getenv(variable) != "" {
		return true
	}
	self, err := os.Executable()
	require.NoError(t, err)
	test := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	test.Env = append(os.Environ(), variable+"=1")
	output, err := test.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "--- PASS: "+t.Name())
	return false
}

// limitFiles makes every file of this process as full as a disk is when it has so many bytes.
func limitFiles(t *testing.T, bytes uint64) (restore func()) {
	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	signal.Ignore(syscall.SIGXFSZ) // then a write fails with EFBIG
	limit := before
	limit.Cur = bytes
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	return func() {
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
		signal.Reset(syscall.SIGXFSZ)
	}
}

// A disk that fills anywhere in the file, its last flush among it, must not store a truncated
// message.
func TestAFullDisk(t *testing.T) {
	if !inAProcess(t) {
		return
	}
	content := strings.Repeat("0123456789", 100)
	const size = 1000
	for _, room := range []uint64{0, 1, 999, 1000, 4095, 4096, 4999, 5000, 7000, 9999, 10000} {
		b := newBackend()
		for range 10 {
			b.mailboxes["INBOX"].add(stored{content: content})
		}
		dir := t.TempDir()
		c := open(t, b, &copymeta.Options{Flags: copymeta.Reset, MaxMemory: 1, TempDir: dir})
		restore := limitFiles(t, room)
		last := imaptest.Last(c.Cmd("a COPY 1:* Archive"))
		restore()
		copies := b.mailboxes["Archive"]
		if room >= 10*size {
			assert.Equal(t, "OK [COPYUID 7 1:10 41:50] COPY completed", last)
			assert.Equal(t, contents(b.mailboxes["INBOX"]), contents(copies))
		} else {
			assert.Equal(t, "NO [SERVERBUG] Internal server error", last, "room for %d", room)
			assert.Empty(t, copies.messages, "room for %d", room)
		}
		assertEmpty(t, dir)
	}
}

// The same when flags are what there is no room for.
func TestAFullDiskForFlags(t *testing.T) {
	if !inAProcess(t) {
		return
	}
	b := newBackend()
	flag := imap.Flag(strings.Repeat("x", 20<<10))
	b.mailboxes["INBOX"].add(stored{content: "x", flags: []imap.Flag{flag}})
	c := open(t, b, &copymeta.Options{InternalDate: copymeta.Reset, TempDir: t.TempDir()})
	restore := limitFiles(t, 20<<10-1)
	last := imaptest.Last(c.Cmd("a COPY 1:* Archive"))
	restore()
	assert.Equal(t, "NO [SERVERBUG] Internal server error", last)
	assert.Empty(t, b.mailboxes["Archive"].messages)
	assert.True(t, imaptest.IsOK(c.Cmd("b COPY 1:* Archive")))
	assert.Equal(t, []imap.Flag{flag}, b.mailboxes["Archive"].messages[0].flags)
}
