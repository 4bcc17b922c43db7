//go:build !linux

package wire

import "syscall"

// unreadBytes is 0 on systems on which a hang-up cannot be detected either.
func unreadBytes(syscall.RawConn) int { return 0 }
