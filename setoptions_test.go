package imapgate_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// Two SetOptions at the same moment leave the options of one of them, and not some of each.
func TestSetOptionsFromTwoGoroutines(t *testing.T) {
	both := []*imapgate.Options{
		{Limits: &limits.Options{MaxFetches: 1}, Idle: &idle.Options{Mode: idle.Off}},
		{Limits: &limits.Options{MaxFetches: 2}, Idle: &idle.Options{Mode: idle.On}},
	}
	server, err := imapgate.NewServer(&imapgate.Options{
		Server: imapserver.Options{
			NewSession: imaptest.Memory(imaptest.User("karen")), InsecureAuth: true,
		},
	})
	require.NoError(t, err)
	running := imaptest.Run(t, server)
	mixed := 0
	for range 100 {
		var all sync.WaitGroup
		for _, options := range both {
			all.Go(func() {
				for range 10 {
					assert.NoError(t, server.SetOptions(options))
				}
			})
		}
		all.Wait()
		c := running.Login("karen", "pass")
		isOff := !strings.Contains(c.Cmd("a CAPABILITY")[0], " IDLE")
		c.Close()
		if isOff != (server.Limiter().Options().MaxFetches == 1) {
			mixed++
		}
	}
	assert.Zero(t, mixed)
}
