// Package socket asks the operating system what a session cannot see: while a command runs nobody
// reads from the connection, and nobody knows whether what was written arrives.
package socket

import (
	"net"
	"syscall"

	"github.com/imapgate/imapgate/internal/layers"
)

// A Socket is the operating system's end of a connection. A nil Socket knows nothing. It may be
// used from several goroutines at once.
type Socket struct {
	raw syscall.RawConn
}

// Of returns the socket of the connection, or nil if it has none or hides it. It finds it through
// NetConn methods, and must be called while the connection is new: after STARTTLS the way may be
// cut.
func Of(conn net.Conn) *Socket {
	c, ok := layers.Find[syscall.Conn](conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return &Socket{raw}
}

// CanTell says whether HungUp can ever be true: on Linux, and only of a real socket.
func (s *Socket) CanTell() bool { return s != nil && socketsTell }

// HungUp says whether the client has closed the connection or its sending direction, or the
// connection was closed on this side.
func (s *Socket) HungUp() bool {
	if !s.CanTell() {
		return false
	}
	var hungUp bool
	if err := s.raw.Control(func(fd uintptr) { hungUp = pollHangUp(fd) }); err != nil {
		return true
	}
	return hungUp
}

// Sent returns how many bytes the client has confirmed, and whether there are more on their way; ok
// is false if the socket cannot tell.
func (s *Socket) Sent() (confirmed uint64, more, ok bool) {
	if !s.CanTell() {
		return 0, false, false
	}
	err := s.raw.Control(func(fd uintptr) { confirmed, more, ok = sentBytes(fd) })
	return confirmed, more, ok && err == nil
}

// Written returns how many bytes were written to the socket in all, whether they have arrived or
// not; ok is false if the socket cannot tell.
func (s *Socket) Written() (written uint64, ok bool) {
	if !s.CanTell() {
		return 0, false
	}
	err := s.raw.Control(func(fd uintptr) { written, ok = writtenBytes(fd) })
	return written, ok && err == nil
}
