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

	// State of the current Read.
	in  []byte
	n   int
	err syscall.Errno
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
// something to read.
func (d *direct) tryRead(fd uintptr) (done bool) {
	d.n, d.err = readSocket(fd, d.in)
	return d.err != errAgain
}

// result returns what Read returns after the RawConn has returned err.
func (d *direct) result(err error) (int, error) {
	n, failed := d.n, d.err
	d.in, d.n, d.err = nil, 0, 0
	switch {
	case err != nil:
		return 0, err
	case failed != 0:
		return 0, &net.OpError{Op: "read", Err: os.NewSyscallError("read", failed)}
	case n == 0:
		return 0, io.EOF
	default:
		return n, nil
	}
}
