// This file is copied beside go-imap's own client tests, with internal/stack, and puts the stack
// that IMAPGATE_STACK names around their server.
package imapclient_test

import (
	"net"
	"os"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/idle"
)

func throughStack(
	next NewSessionFunc,
) NewSessionFunc {
	return Wrap(os.Getenv("IMAPGATE_STACK"), next)
}

type server interface {
	Serve(net.Listener) error
	Close() error
}

// newServer takes IDLE off the wire where it is off.
func newServer(options *imapserver.Options) server {
	if os.Getenv("IMAPGATE_STACK") == "idle-off" {
		return idle.NewServer(options)
	}
	return imapserver.New(options)
}
