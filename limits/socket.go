package limits

import (
	"net"
	"syscall"

	"github.com/imapgate/imapgate/internal/layers"
)

// socket is the operating system's end of a connection. It tells what a Session cannot see: while a
// command runs nobody reads from the connection, and nobody tells whether what is written arrives.
// A nil *socket cannot tell either.
type socket struct {
	raw syscall.RawConn
}

// socketOf returns the socket of the connection, or nil if it has none or hides it.
func socketOf(conn net.Conn) *socket {
	c, ok := layers.Find[syscall.Conn](conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return &socket{raw}
}

// canTell says whether hungUp can ever be true.
func (s *socket) canTell() bool { return s != nil && socketsTell }

// hungUp says whether the client has closed the connection or its sending direction, or the
// connection was closed on this side.
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

// sent returns how many bytes the client has confirmed, and whether there are more on their way; ok
// is false if the socket cannot tell.
func (s *socket) sent() (confirmed uint64, more, ok bool) {
	if !s.canTell() {
		return 0, false, false
	}
	err := s.raw.Control(func(fd uintptr) { confirmed, more, ok = sentBytes(fd) })
	return confirmed, more, ok && err == nil
}
