package wire

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// unreadBytes returns how many bytes of the client the system holds.
func unreadBytes(socket syscall.RawConn) (n int) {
	socket.Control(func(fd uintptr) {
		if queued, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ); err == nil {
			n = queued
		}
	})
	return n
}
