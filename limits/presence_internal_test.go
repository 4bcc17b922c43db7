package limits

import (
	"context"
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/socket"
)

// watching returns the client of a connection in memory.
func watching(t *testing.T) *client {
	ours, theirs := net.Pipe()
	t.Cleanup(func() {
		ours.Close()
		theirs.Close()
	})
	return &client{limiter: New(nil), socket: socket.Of(ours)}
}

// A connection can be closed twice, such as by Disconnect and by a notice that cannot be written.
func TestAClientIsLostOnce(t *testing.T) {
	c, lost := watching(t), 0
	stop := c.watch(func() { lost++ })
	c.lost()
	c.lost()
	assert.Equal(t, 1, lost)
	stop()
}

// Otherwise a SEARCH that is over would withdraw from the session's next one.
func TestACommandThatIsOverIsNotLost(t *testing.T) {
	c := watching(t)
	c.watch(func() { assert.Fail(t, "the command is over") })()
	c.lost()
}

// The Limiter around this one stops a command just when that is over.
func TestTheNextCommandIsNotTakenForTheOneThatWasStopped(t *testing.T) {
	c := watching(t)
	for range 200 {
		outer, cancel := context.WithCancel(t.Context())
		c.presence.outer = outer
		stop := c.watch(func() {})
		cancel()
		stop()
		c.presence.outer = nil
		stop = c.watch(func() { assert.Fail(t, "nobody has stopped the next command") })
		runtime.Gosched()
		stop()
	}
}
