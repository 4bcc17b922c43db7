package wire

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// unreadBytes returns how many bytes from the client are still in the system's buffer.
func unreadBytes(socket syscall.RawConn) (n int) {
	socket.Control(func(fd uintptr) {
		if queued, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ); err == nil {
			n = queued
		}
	})
	return n
}
