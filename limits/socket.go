package limits

import (
	"net"
	"syscall"
)

// socket is the operating system's end of a connection. It tells whether the client has hung up, which a Session cannot see: while a
// command runs nobody reads from the connection. A nil *socket cannot tell.
type socket struct {
	raw syscall.RawConn
}

// maxLayers ends the search for the socket in a connection that has itself for its NetConn.
const maxLayers = 16

// socketOf looks for the socket below any number of layers (TLS, a proxy protocol, compression) that offer NetConn() net.Conn, as
// [crypto/tls.Conn] does. It returns nil if there is none.
func socketOf(conn net.Conn) *socket {
	for range maxLayers {
		if c, ok := conn.(syscall.Conn); ok {
			raw, err := c.SyscallConn()
			if err != nil {
				return nil
			}
			return &socket{raw}
		}
		layer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		conn = layer.NetConn()
	}
	return nil
}

// canTell says whether hungUp can ever be true.
func (s *socket) canTell() bool { return s != nil && hangUpIsSeen }

// hungUp says whether the client has closed the connection or its sending direction, or the connection was closed on this side.
func (s *socket) hungUp() bool {
	if !s.canTell() {
		return false
	}
	var hungUp bool
	if err := s.raw.Control(func(fd uintptr) { hungUp = pollHangUp(fd) }); err != nil {
		return true
	}
	return hungUp
}
