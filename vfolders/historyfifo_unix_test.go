//go:build unix && !aix && !illumos && !solaris

package vfolders_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/vfolders"
)

func TestAHistoryInAPipeIsAnErrorAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	_, err := vfolders.OpenHistory(path, nil)
	assert.EqualError(t, err, "vfolders: the history "+path+": it is no ordinary file")
}
