package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/imapgate/imapgate/internal/layers"
)

const (
	// byeTimeout is how long a client has to take a BYE, and then again to close its own side.
	byeTimeout = time.Second
	// maxLinger is how many bytes are discarded while the client closes its side.
	maxLinger = 1 << 20
	// maxRefused is how many refused connections may be open at once. Beyond that they are closed
	// without a BYE.
	maxRefused = 1000
)

// refuse makes the client read why it is refused, in a goroutine of its own.
func (g *Guard) refuse(conn net.Conn, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refused == maxRefused {
		go layers.Innermost(conn).Close()
		return
	}
	g.refused++
	go func() {
		defer func() {
			if v := recover(); v != nil { // of a function in a tls.Config
				g.logf("panic refusing a connection: %v\n%s", v, debug.Stack())
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			g.refused--
		}()
		refuse(conn, byeOf(err))
	}()
}

// byeOf returns what the client reads after BYE.
func byeOf(err error) string {
	if refusal := (*imap.Error)(nil); errors.As(err, &refusal) && refusal.Code != "" {
		return "[" + string(refusal.Code) + "] " + refusal.Text
	} else if refusal != nil {
		return refusal.Text
	}
	return "Internal server error"
}

// refuse says BYE to a client, after the TLS handshake. It may take as long as both.
func refuse(conn net.Conn, text string) {
	defer conn.Close()
	if t, ok := layers.Find[*tls.Conn](conn); ok && handshake(t) != nil {
		return
	}
	sayGoodbye(conn, text)
}

// sayGoodbye writes a BYE and waits until the client has read it. If a socket is closed while it
// has unread data, the client loses what it has not read yet. It returns false if the BYE could not
// be written.
func sayGoodbye(conn net.Conn, text string) bool {
	conn.SetWriteDeadline(time.Now().Add(byeTimeout))
	if _, err := conn.Write([]byte("* BYE " + text + "\r\n")); err != nil {
		return false
	}
	linger(conn)
	return true
}

// linger stops sending, and discards what still comes, for a second at most.
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
	io.CopyN(io.Discard, below, maxLinger)
}
