package main

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/limits"
)

func TestSettings(t *testing.T) {
	options, err := load("settings.yaml")
	require.NoError(t, err)
	want := limits.DefaultOptions()
	want.MaxLoginsPerUser, want.FetchQueueTimeout = 10, 20*time.Second
	want.Exempt = options.Limits.Exempt
	assert.Equal(t, want, options.Limits)
	assert.Len(t, options.Limits.Exempt, 1)
	assert.Equal(t, idle.Poll, options.Idle.Mode)
	assert.Equal(t, []string{"#users"}, options.Folders.Prefixes)
	assert.Equal(t, copymeta.Reset, options.Copy.Flags)
}

func TestFewerSettings(t *testing.T) {
	for _, text := range []string{"# nothing\n", "{}\n", "limits:\n  max-fetches: 50\n"} {
		path := filepath.Join(t.TempDir(), "settings.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		options, err := load(path)
		require.NoError(t, err)
		assert.Equal(t, limits.DefaultOptions(), options.Limits, text)
		assert.Nil(t, options.Copy)
	}
	for _, text := range []string{
		"limit:\n  max-fetches: 1\n", "limits:\n  max-fetchs: 1\n", "limits: [\n", "", "# nothing",
		"limits:\n  max-fetches: 5", "limits:", "limits:\n  exempt: 10.0.0.0/8\n",
	} {
		path := filepath.Join(t.TempDir(), "settings.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := load(path)
		assert.Error(t, err, text)
	}
}

// lines passes on each line that is logged.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// A client whose login was refused gets in after the file allows it, but not after a mistake in the
// file.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "settings.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write("limits: {max-logins-per-user: 1}\n")
	said := make(lines, 10)
	reload := make(chan os.Signal)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", path, reload, log.New(said, "", 0)) }()
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(<-said)

	login := func() error {
		client, err := imapclient.DialInsecure(address, nil)
		require.NoError(t, err)
		t.Cleanup(func() { client.Close() })
		return client.Login("karen", "pass").Wait()
	}
	require.NoError(t, login())
	assert.ErrorContains(t, login(), "Too many logins for this user")
	for _, mistake := range []string{"limits: {max-logins-per-user: -1}\n", "", "limits:"} {
		write(mistake)
		reload <- syscall.SIGHUP
		assert.Contains(t, <-said, "the settings stay as they are", mistake)
		assert.ErrorContains(t, login(), "Too many logins for this user", mistake)
	}
	write("limits: {max-logins-per-user: 2}\n")
	reload <- syscall.SIGHUP
	assert.Contains(t, <-said, "new settings from "+path)
	assert.NoError(t, login())
	cancel()
	assert.NoError(t, <-ended)
}
