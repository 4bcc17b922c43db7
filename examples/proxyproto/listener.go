package main

import (
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// headerTimeout is how long a proxy may take to send its header. The proxy has all it needs at
// once.
const headerTimeout = 5 * time.Second

// newListener returns a listener whose connections have the client's address as their RemoteAddr. A
// proxy in one of the trusted networks must send that address in a header. Every other sender is a
// client, so its own address counts. A header from a client is read as a command that does not
// exist, which ends the connection.
//
// The other policies of go-proxyproto do not fit. With USE and IGNORE it waits for a header that
// may not come, while an IMAP client waits for the greeting. With USE, a client of the proxy can
// also send a header of its own if the proxy has sent none.
//
// imapgate.Server, and the listener of imapgate.NewListener, wait for the header of each connection
// in a goroutine of its own, so a silent sender delays no other. Meanwhile the connection counts.
// After headerTimeout it is closed.
//
// TLS goes above it: tls.NewListener(newListener(…), config). The header is not encrypted.
func newListener(inner net.Listener, trusted []string) (net.Listener, error) {
	policy, err := proxyproto.PolicyFromRanges(trusted, proxyproto.REQUIRE, proxyproto.SKIP)
	if err != nil {
		return nil, err
	}
	return &listener{
		&proxyproto.Listener{Listener: inner, ConnPolicy: policy, ReadHeaderTimeout: headerTimeout},
	}, nil
}

type listener struct{ *proxyproto.Listener }

func (l *listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if proxied, ok := accepted.(*proxyproto.Conn); ok {
		return conn{proxied}, nil
	}
	return accepted, err
}

// conn gives access to the socket, which go-proxyproto calls Raw. limits asks the socket whether
// the client has hung up or reads nothing.
type conn struct{ *proxyproto.Conn }

// NetConn returns the connection below, as that of [crypto/tls.Conn] does.
func (c conn) NetConn() net.Conn { return c.Raw() }
