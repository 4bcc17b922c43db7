package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/limits"
)

const (
	// lastWords is how long the answers to those who waited have to go out before the connections
	// are closed.
	lastWords = 100 * time.Millisecond
	// closeTimeout ends the wait for clients that do not read the end of their TLS connection.
	closeTimeout = time.Second
)

// service is an address with a server of its own: whether LOGIN needs TLS first is a property of
// the server.
type service struct {
	listener net.Listener
	server   server
	kind     serviceKind
	loopback bool
}

type serviceKind string

const (
	plainService  serviceKind = "plain"
	tlsService    serviceKind = "TLS"
	statusService serviceKind = "status"
)

// server is go-imap's, the one of package idle that has no IDLE, or that of the status page.
type server interface {
	Serve(net.Listener) error
	Close() error
}

func newServer(options *imapserver.Options, mode idle.Mode) server {
	if mode == idle.Off {
		return idle.NewServer(options)
	}
	return imapserver.New(options)
}

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

// listen opens the addresses that are on. After an error none is open.
func listen(
	s *settings, backend *backend, limiter *limits.Limiter, logger *slog.Logger,
) (services, error) {
	tlsConfig, err := newTLSConfig(s)
	if err != nil {
		return nil, err
	}
	options := imapserver.Options{
		NewSession: stack(s, backend, limiter, logger),
		Caps:       imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}},
		Logger:     printer{logger, "go-imap"},
	}
	var all services
	add := func(service *service, err error) error {
		if err != nil {
			for _, open := range all {
				open.listener.Close()
			}
			return err
		}
		all = append(all, service)
		return nil
	}
	if s.listen != "" {
		if err := add(listenPlain(s, options, tlsConfig)); err != nil {
			return nil, err
		}
	}
	if s.listenTLS != "" {
		if err := add(listenTLS(s, options, tlsConfig)); err != nil {
			return nil, err
		}
	}
	if s.status != "" {
		if err := add(listenStatus(s, limiter, logger)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func listenPlain(s *settings, options imapserver.Options, tlsConfig *tls.Config) (*service, error) {
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return nil, fmt.Errorf("-listen %s: %w", s.listen, err)
	}
	options.TLSConfig = tlsConfig
	options.InsecureAuth = isLoopback(listener.Addr())
	return &service{
		listener: listener,
		server:   newServer(&options, s.idle.Mode),
		kind:     plainService,
		loopback: options.InsecureAuth,
	}, nil
}

func listenTLS(s *settings, options imapserver.Options, tlsConfig *tls.Config) (*service, error) {
	listener, err := net.Listen("tcp", s.listenTLS)
	if err != nil {
		return nil, fmt.Errorf("-listen-tls %s: %w", s.listenTLS, err)
	}
	return &service{
		listener: &tlsListener{listener, tlsConfig},
		server:   newServer(&options, s.idle.Mode),
		kind:     tlsService,
	}, nil
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// serve lets clients in, and returns where an error appears if one of the listeners fails.
func (all services) serve() <-chan error {
	failed := make(chan error, len(all))
	for _, s := range all {
		go func() {
			if err := s.server.Serve(s.listener); err != nil {
				failed <- err
			}
		}()
	}
	return failed
}

// stop tells those who wait, and then ends all connections. It takes little more than a second at
// most.
func stop(limiter *limits.Limiter, all services) {
	limiter.Close()
	time.Sleep(lastWords)
	var closing sync.WaitGroup
	for _, s := range all {
		closing.Go(func() { s.server.Close() })
	}
	closed := make(chan struct{})
	go func() {
		closing.Wait()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
	}
}
