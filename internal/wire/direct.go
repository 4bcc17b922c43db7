package wire

import (
	"io"
	"net"
	"os"
	"syscall"
)

// direct reads from a socket through its RawConn, which saves memory. A goroutine that waits there
// has so few stack frames that 4 KB are enough, as for go-imap without a guard. In Read of the
// net.Conn, with the guard's frames, it would need 8 KB.
type direct struct {
	socket syscall.RawConn
	try    func(fd uintptr) bool // tryRead, made once

	// State of the current read.
	buffer *[bufferSize]byte
	n      int
	err    syscall.Errno
}

// newDirect returns nil if the connection is not a socket, or if the system cannot read sockets
// this way. The RawConn is that of the connection.
func newDirect(conn net.Conn, socket syscall.RawConn) *direct {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil
	}
	if socket == nil || !canReadDirectly {
		return nil
	}
	d := &direct{socket: socket}
	d.try = d.tryRead
	return d
}

// tryRead is what the RawConn calls. If it returns false, it is called again when there is
// something to read. Until then there is no buffer.
func (d *direct) tryRead(fd uintptr) (done bool) {
	d.buffer = scratch.Get().(*[bufferSize]byte)
	if d.n, d.err = readSocket(fd, d.buffer[:]); d.n == 0 {
		scratch.Put(d.buffer)
	}
	return d.err != errAgain
}

// result returns what was read, after the RawConn has returned err.
func (d *direct) result(err error) (rest, error) {
	n, failed, buffer := d.n, d.err, d.buffer
	d.buffer, d.n, d.err = nil, 0, 0
	switch {
	case n > 0:
		return rest{buffer[:n], buffer}, nil
	case err != nil:
		return rest{}, err
	case failed != 0:
		return rest{}, &net.OpError{Op: "read", Err: os.NewSyscallError("read", failed)}
	default:
		return rest{}, io.EOF
	}
}
