package mailserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The file that the flag names is used, and closed when the server ends.
func TestTheHistoryOfVirtualFoldersIsKept(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	require.NoError(t, os.Mkdir(folder, 0o700))
	file := filepath.Join(folder, "history")
	for i, want := range []string{`(\HasChildren)`, `(\Noselect \HasChildren)`} {
		s := startServer(t, "-virtual-folders-history", file)
		c := s.selected("karen")
		list := strings.Join(c.Cmd(`a LIST "" %`), "\n")
		assert.Contains(t, list, `* LIST `+want+` "/" "Lists"`, i)
		requireOK(t, c.Cmd("a CREATE Lists"))
		requireOK(t, c.Cmd("a STATUS Lists (MESSAGES)"))
		c.Close()
		require.Equal(t, exitOK, s.stop(), "%s", s.stderr)
		assert.NotContains(t, s.stderr.String(), "vfolders")
	}

	s := startServer(t, "-virtual-folders-history", file)
	c := s.selected("karen")
	requireOK(t, c.Cmd("a STATUS Sent (MESSAGES)"))
	c.Close()
	require.NoError(t, os.RemoveAll(folder))
	require.Equal(t, exitOK, s.stop())
	assert.Contains(t, s.stderr.String(), "level=WARN msg=vfolders message=")
}
