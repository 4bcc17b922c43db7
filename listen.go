package imapgate

import (
	"crypto/tls"
	"errors"
	"net"

	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/wire"
	"github.com/imapgate/imapgate/limits"
)

// ListenAndServe listens on a TCP address and serves it in clear, with STARTTLS if there is a
// TLSConfig. An empty address means ":143". It returns when Serve does.
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

// ListenAndServeTLS listens on a TCP address and serves it with implicit TLS. An empty address
// means ":993". It is an error if the server has no TLSConfig, or one without a certificate. It
// returns when Serve does.
func (s *Server) ListenAndServeTLS(addr string) error {
	if s.options.TLSConfig == nil {
		return errors.New("imapgate: Server.TLSConfig is nil")
	}
	if addr == "" {
		addr = ":993"
	}
	ln, err := tls.Listen("tcp", addr, s.options.TLSConfig)
	if err != nil {
		return err
	}
	return s.Serve(ln)
}

// NewListener returns a listener with the guard of a [Server], for an [imapserver.Server] that you
// must keep. The limiter is the one around the NewSession of that server, or nil. It counts the
// connections, and the guard enforces its MaxLoginBytes, MaxCommandBytes and MaxSearchDepth. With
// [idle.Off] there is no IDLE.
//
// go-imap recognises TLS by the type of the connection, and cannot see it below this listener.
// Therefore:
//   - On a plain listener the server must have no TLSConfig. InsecureAuth keeps its meaning.
//   - A TLS listener goes below: NewListener(tls.NewListener(…), …). The server must have no
//     TLSConfig, and must have InsecureAuth. Then clients may log in on every listener of that
//     server, so each of them must be encrypted.
//   - There is no STARTTLS.
//
// Clients cannot log in to a server that is set up otherwise. At the first client that shows the
// mistake, Serve of that server returns an error that says what is wrong. The connections have a
// method NetConn, as [tls.Conn] has.
func NewListener(inner net.Listener, limiter *limits.Limiter, mode idle.Mode) net.Listener {
	config := wire.Config{HideIdle: func() bool { return mode == idle.Off }}
	return wire.New(guardOf(limiter, config)).Listen(inner)
}

// guardOf returns the configuration of a guard that enforces the limits of the limiter.
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
