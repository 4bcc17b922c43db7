//go:build unix

package copymeta_test

import "golang.org/x/sys/unix"

// maxFiles returns how many files may be open at once.
func maxFiles() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur)
}
