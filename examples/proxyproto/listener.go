package main

import (
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// headerTimeout is how long a proxy may take to send its header, which it knows from the start.
const headerTimeout = 5 * time.Second

// newListener returns a listener whose connections have the client's address, as a proxy in one of
// the trusted networks gives it, for their RemoteAddr. Trusted senders must give it. All others are
// clients: their own address counts, and a header of theirs is read as a command that does not
// exist, which ends the connection.
//
// The other policies of go-proxyproto do not fit: with USE and IGNORE it waits for a header that
// may not come, but an IMAP client waits for the greeting; and with USE a client of the proxy can
// send a second header of its own where the proxy has sent none.
//
// imapgate.Server, and the listener of imapgate.NewListener, wait for the header of each connection
// in a goroutine of its own, so that a sender that is silent holds up nobody else. Meanwhile the
// connection counts, and after headerTimeout it is closed.
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

// conn shows the way to the socket, which limits asks whether the client has hung up or reads
// nothing. go-proxyproto calls it Raw.
type conn struct{ *proxyproto.Conn }

// NetConn returns the connection that is wrapped, as that of [crypto/tls.Conn] does.
func (c conn) NetConn() net.Conn { return c.Raw() }
