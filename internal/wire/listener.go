package wire

import (
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/imapgate/imapgate/internal/layers"
)

// handshakeTimeout is how long a TLS handshake may take, whatever the client sends meanwhile.
const handshakeTimeout = 10 * time.Second

// byeTimeout is how long a client has to take a BYE, and to close its own side after it.
const byeTimeout = time.Second

type listener struct {
	net.Listener
	guard *Guard

	mu  sync.Mutex
	err error
}

// Guarded tells whether the listener is one of [Guard.Listen].
func Guarded(ln net.Listener) bool {
	_, ok := ln.(*listener)
	return ok
}

// Accept returns the next connection that is admitted.
func (l *listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.err != nil {
				return nil, l.err
			}
			return nil, err
		}
		if conn := l.admit(accepted); conn != nil {
			return conn, nil
		}
	}
}

func (l *listener) admit(accepted net.Conn) net.Conn {
	release, bye := func() {}, ""
	if admit := l.guard.config.Admit; admit != nil {
		release, bye = admit(accepted)
	}
	if bye == "" && release != nil {
		c := newConn(accepted, l)
		c.release = release
		if l.guard.add(c) {
			return c
		}
	}
	switch {
	case release == nil:
		go accepted.Close()
	case bye == "":
		go func() {
			defer release()
			accepted.Close()
		}()
	default:
		go func() {
			defer release()
			refuse(accepted, bye)
		}()
	}
	return nil
}

// refuse says BYE to a client, for which that may take as long as a handshake and a second more.
func refuse(conn net.Conn, text string) {
	defer conn.Close()
	if t, ok := layers.Find[*tls.Conn](conn); ok && handshake(t) != nil {
		return
	}
	sayGoodbye(conn, text)
}

// sayGoodbye writes a BYE and waits until the client has read it: a socket that is closed while
// there is something unread makes the client lose what it has not read yet.
func sayGoodbye(conn net.Conn, text string) {
	conn.SetWriteDeadline(time.Now().Add(byeTimeout))
	if _, err := conn.Write([]byte("* BYE " + text + "\r\n")); err == nil {
		linger(conn)
	}
}

// linger ends what is sent, and throws away what still comes, for a second at most.
func linger(conn net.Conn) {
	type closeWriter interface{ CloseWrite() error }
	below := conn
	if t, ok := layers.Find[*tls.Conn](conn); ok {
		t.CloseWrite()
		below = t.NetConn()
	}
	half, ok := layers.Find[closeWriter](below)
	if !ok || half.CloseWrite() != nil {
		return
	}
	below.SetReadDeadline(time.Now().Add(byeTimeout))
	buf := make([]byte, 4096)
	for range maxLinger / len(buf) {
		if _, err := below.Read(buf); err != nil {
			return
		}
	}
}

// maxLinger is how many bytes are thrown away.
const maxLinger = 1 << 20

// handshake does the handshake, or closes the socket when its time is over.
func handshake(t *tls.Conn) error {
	timer := time.AfterFunc(handshakeTimeout, func() { t.NetConn().Close() })
	defer timer.Stop()
	return t.Handshake()
}

// fail ends Accept with the error, because no connection will fare better than the one that saw it.
func (l *listener) fail(err error) {
	l.mu.Lock()
	l.err = err
	l.mu.Unlock()
	l.Listener.Close()
}
