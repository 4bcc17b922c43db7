package imapgate

import (
	"crypto/tls"
	"errors"
	"net"

	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/wire"
	"github.com/imapgate/imapgate/limits"
)

// ListenAndServe listens on a TCP address, ":143" if it is empty, and serves it in clear, with
// STARTTLS if there is a TLSConfig.
func (s *Server) ListenAndServe(addr string) error {
	if addr == "" {
		addr = ":143"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return s.Serve(ln)
}

// ListenAndServeTLS listens on a TCP address, ":993" if it is empty, and serves it with implicit
// TLS.
func (s *Server) ListenAndServeTLS(addr string) error {
	if s.options.TLSConfig == nil {
		return errors.New("imapgate: Server.TLSConfig is nil")
	}
	if addr == "" {
		addr = ":993"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return s.Serve(tls.NewListener(ln, s.options.TLSConfig))
}

// NewListener returns a listener whose connections are guarded as those of a [Server] are, for
// those who must keep an [imapserver.Server]. The limiter, which counts its connections, and whose
// MaxLoginBytes, MaxCommandBytes and MaxSearchDepth it enforces, is the one around that server's
// NewSession, or nil. With [idle.Off] there is no IDLE.
//
// go-imap recognises TLS by the type of the connection, and cannot see it below this listener.
// Therefore:
//   - On a plain listener the server must have no TLSConfig. InsecureAuth means what it always
//     does.
//   - A TLS listener goes below: NewListener(tls.NewListener(…), …). The server must have no
//     TLSConfig, and InsecureAuth: then every other listener of that server must be encrypted too,
//     because clients may log in on all of them.
//   - There is no STARTTLS.
//
// A server that is set up otherwise logs nobody in: at the first client that shows the mistake, its
// Serve returns an error that says what is wrong. The connections have a method NetConn, as
// [tls.Conn] has.
func NewListener(inner net.Listener, limiter *limits.Limiter, mode idle.Mode) net.Listener {
	config := wire.Config{HideIdle: func() bool { return mode == idle.Off }}
	return wire.New(guardOf(limiter, config)).Listen(inner)
}

// guardOf returns the configuration of a guard that enforces what the limiter says.
func guardOf(limiter *limits.Limiter, config wire.Config) wire.Config {
	if limiter == nil {
		return config
	}
	config.Admit = limiter.Accept
	config.Limits = func(conn net.Conn) (l wire.Limits) {
		l.LoginBytes, l.CommandBytes, l.SearchDepth = limiter.WireLimits(conn.RemoteAddr())
		return l
	}
	config.Refused = func(conn net.Conn, limit string, value int64) bool {
		return limiter.RefuseOnWire(conn.RemoteAddr(), limit, value)
	}
	return config
}
