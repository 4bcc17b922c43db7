//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package vfolders

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// lockFile makes the file and locks it until it is closed, or the process ends. It fails if another
// process has locked it. Where the file system has no locks, it locks nothing.
func lockFile(path string) (io.Closer, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		file.Close()
		return nil, errors.New("another process, or this one, has opened it already")
	}
	return file, nil
}
