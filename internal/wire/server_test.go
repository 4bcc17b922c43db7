package wire_test

import (
	"errors"
	"net"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/wire"
)

// guarded is go-imap's server behind a guard.
type guarded struct {
	*imapserver.Server
	guard *wire.Guard
}

// newServer returns a guarded server without IDLE.
func newServer(options *imapserver.Options) server {
	return guardedServer(options, wire.Config{HideIdle: func() bool { return true }})
}

// guardedServer returns a server whose guard does TLS.
func guardedServer(options *imapserver.Options, config wire.Config) *guarded {
	config.Terminates, config.StartTLS = true, options.TLSConfig
	config.InsecureAuth = options.InsecureAuth
	inner := *options
	inner.TLSConfig, inner.InsecureAuth = nil, true
	return &guarded{imapserver.New(&inner), wire.New(config)}
}

func (g *guarded) Serve(ln net.Listener) error {
	if wire.Guarded(ln) {
		return errors.New("imapgate: Serve needs the listener below NewListener")
	}
	return g.Server.Serve(g.guard.Listen(ln))
}

// newListener returns a listener without IDLE.
func newListener(inner net.Listener) net.Listener {
	return wire.New(wire.Config{HideIdle: func() bool { return true }}).Listen(inner)
}
