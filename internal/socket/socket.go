// Package socket asks the operating system what a session cannot know. While a command runs, nobody
// reads from the connection, and nobody knows whether the written bytes arrive.
package socket

import (
	"net"
	"syscall"

	"github.com/imapgate/imapgate/internal/layers"
)

// A Socket is the operating system's socket of a connection. A nil Socket knows nothing. It is safe
// for concurrent use.
type Socket struct {
	raw syscall.RawConn
}

// Of returns the socket of the connection, or nil if it has none or hides it. It follows NetConn
// methods. Call it while the connection is new: after STARTTLS the socket may be hidden.
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

// CanTell reports whether HungUp can ever be true: only on Linux, and only for a real socket.
func (s *Socket) CanTell() bool { return s != nil && socketsTell }

// HungUp reports whether the client has closed the connection or its sending side, or this side has
// closed the connection.
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

// Sent returns how many bytes the client has confirmed, and whether more are on their way. ok is
// false if that is not known.
func (s *Socket) Sent() (confirmed uint64, more, ok bool) {
	if !s.CanTell() {
		return 0, false, false
	}
	err := s.raw.Control(func(fd uintptr) { confirmed, more, ok = sentBytes(fd) })
	return confirmed, more, ok && err == nil
}

// Written returns how many bytes were written to the socket so far, whether or not they have
// arrived. ok is false if that is not known.
func (s *Socket) Written() (written uint64, ok bool) {
	if !s.CanTell() {
		return 0, false
	}
	err := s.raw.Control(func(fd uintptr) { written, ok = writtenBytes(fd) })
	return written, ok && err == nil
}
