//go:build !unix

package wire

import "syscall"

const (
	canReadDirectly = false
	errAgain        = syscall.Errno(0)
)

func readSocket(uintptr, []byte) (int, syscall.Errno) { panic("wire: no socket to read from") }
