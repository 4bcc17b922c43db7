package vfolders_test

import (
	"testing"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

func TestAVirtualFolderIsReadOnlyBehindTheGuardedWire(t *testing.T) {
	server, err := imapgate.NewServer(&imapgate.Options{
		Server: imapserver.Options{
			NewSession: mover{names('/', "a/b", "c")}.session, InsecureAuth: true,
			Caps: imaptest.MemoryCaps(),
		},
		Folders: &vfolders.Options{},
	})
	require.NoError(t, err)
	listener := imaptest.Listen()
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	conn, err := listener.Dial()
	require.NoError(t, err)
	c := imaptest.NewConn(t, conn)
	c.Line()
	answer(t, c, "LOGIN bob pass")
	for command, want := range map[string]string{
		"SELECT a": "OK [READ-ONLY] SELECT completed", "EXAMINE a": "OK [READ-ONLY] EXAMINE completed",
		"SELECT c": "OK [READ-WRITE] SELECT completed", "SELECT d": "NO [NONEXISTENT] No such mailbox",
	} {
		for range 2 {
			assert.Equal(t, want, imaptest.Last(c.Cmd("a "+command)), command)
		}
	}
}
