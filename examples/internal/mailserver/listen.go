package mailserver

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/limits"
)

// drainTimeout is how long running commands may take to end when the program stops.
const drainTimeout = time.Second

// service is one address that the program serves.
type service struct {
	listener net.Listener
	serve    func(net.Listener) error
	close    func() error // nil: the listener's
	kind     serviceKind
	loopback bool
}

type serviceKind string

const (
	plainService  serviceKind = "plain"
	tlsService    serviceKind = "TLS"
	statusService serviceKind = "status"
)

// services are those that are on: plain, TLS, status.
type services []*service

func listenFlags(flags *flag.FlagSet, s *settings) {
	flags.StringVar(
		&s.listen, "listen", "127.0.0.1:1143",
		"`address` without TLS, with STARTTLS; empty switches it off",
	)
	flags.StringVar(
		&s.listenTLS, "listen-tls", "127.0.0.1:1993", "`address` with TLS; empty switches it off",
	)
	flags.StringVar(
		&s.tlsCert, "tls-cert", "", "`file` of the certificate in PEM form (without: one is made)",
	)
	flags.StringVar(&s.tlsKey, "tls-key", "", "`file` of its private key in PEM form")
}

func (s *settings) checkListen() error {
	if s.listen == "" && s.listenTLS == "" {
		return wrongValue(
			"listen", "",
			errors.New("it takes an address, such as 127.0.0.1:1143, when -listen-tls is empty too"),
		)
	}
	if s.listen != "" {
		if err := checkAddress("listen", s.listen); err != nil {
			return err
		}
	}
	if s.listenTLS != "" {
		return checkAddress("listen-tls", s.listenTLS)
	}
	return nil
}

// checkAddress says whether the value of a flag is a host and a port.
func checkAddress(name, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil && port != "" {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || port == "" {
		return wrongValue(name, address, errors.New("it takes host:port, such as 127.0.0.1:1143"))
	}
	return nil
}

// newServer returns the server for all addresses. Clients can log in without TLS only if insecure
// is true.
func newServer(
	s *settings, backend *backend, options *limits.Options, tlsConfig *tls.Config, insecure bool,
	logger *slog.Logger,
) (*imapgate.Server, error) {
	copies := s.copies
	copies.Logger = printer{logger, "copymeta"}
	return imapgate.NewServer(&imapgate.Options{
		Server: imapserver.Options{
			NewSession:   s.delays.wrap(backend.sessions(copies.Logger)),
			Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}},
			TLSConfig:    tlsConfig,
			InsecureAuth: insecure,
			Logger:       printer{logger, "go-imap"},
		},
		Limits:  options,
		Idle:    &s.idle,
		Folders: s.virtualFolders.options(),
		Copy:    &copies,
	})
}

// listen opens the addresses that are on, and makes the server for them. After an error none is
// open.
func listen(
	s *settings, backend *backend, options *limits.Options, logger *slog.Logger,
) (all services, server *imapgate.Server, err error) {
	defer func() {
		if err != nil {
			all.close()
		}
	}()
	tlsConfig, err := newTLSConfig(s)
	if err != nil {
		return nil, nil, err
	}
	open := func(name, address string) (net.Listener, error) {
		if address == "" {
			return nil, nil
		}
		ln, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("-%s %s: %w", name, address, err)
		}
		return ln, nil
	}
	plain, err := open("listen", s.listen)
	if err != nil {
		return nil, nil, err
	}
	insecure := plain != nil && isLoopback(plain.Addr())
	if plain != nil {
		all = append(all, &service{listener: plain, kind: plainService, loopback: insecure})
	}
	secure, err := open("listen-tls", s.listenTLS)
	if err != nil {
		return all, nil, err
	}
	if secure != nil {
		all = append(all, &service{listener: tls.NewListener(secure, tlsConfig), kind: tlsService})
	}
	if server, err = newServer(s, backend, options, tlsConfig, insecure, logger); err != nil {
		return all, nil, err
	}
	for _, service := range all {
		service.serve = server.Serve
	}
	if s.status != "" {
		status, err := listenStatus(s, server.Limiter(), logger)
		if err != nil {
			return all, nil, err
		}
		all = append(all, status)
	}
	return all, server, nil
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// serve lets clients in. The channel gets an error if one of the listeners fails.
func (all services) serve() <-chan error {
	failed := make(chan error, len(all))
	for _, s := range all {
		go func() {
			if err := s.serve(s.listener); err != nil {
				failed <- err
			}
		}()
	}
	return failed
}

func (all services) close() {
	for _, s := range all {
		if s.close != nil {
			s.close()
		}
		s.listener.Close()
	}
}

// stop lets running commands end within drainTimeout, and then ends all connections.
func stop(server *imapgate.Server, all services) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	server.Shutdown(ctx) // the error says that somebody had to be cut off
	all.close()
}
