package wire

import (
	"io"
	"net"
	"os"
	"syscall"
)

// direct reads from a socket by its RawConn. A goroutine that waits in there has so few frames on
// its stack that 4 KB are enough for it, as for one of go-imap without a guard; in Read of the
// net.Conn, with those of the guard, it would take 8 KB.
type direct struct {
	socket syscall.RawConn
	try    func(fd uintptr) bool // tryRead, made once

	// Of the Read that goes on.
	in  []byte
	n   int
	err syscall.Errno
}

// newDirect returns nil if the connection is no socket, or the system has none that work so. The
// RawConn is that of the connection.
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

// tryRead is what the RawConn calls, again when it returns false and there is something to read.
func (d *direct) tryRead(fd uintptr) (done bool) {
	d.n, d.err = readSocket(fd, d.in)
	return d.err != errAgain
}

// result returns what Read returns when the RawConn has returned err.
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
