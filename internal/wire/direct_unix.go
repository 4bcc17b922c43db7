//go:build unix

package wire

import "syscall"

const canReadDirectly = true

const errAgain = syscall.EAGAIN

// readSocket reads once, and does not wait.
func readSocket(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, err := syscall.Read(int(fd), p)
		if errno, _ := err.(syscall.Errno); errno != syscall.EINTR {
			return max(n, 0), errno
		}
	}
}
