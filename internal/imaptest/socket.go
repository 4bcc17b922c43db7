package imaptest

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
)

// Socket is the RawConn of a connection in memory. It knows of no hang-up, and fails once Closed is
// true, as that of a socket that was closed.
type Socket struct{ Closed *atomic.Bool }

// quiet is what never tells of a hang-up.
var quiet = sync.OnceValue(func() *os.File {
	file, err := os.Open(os.DevNull)
	if err != nil {
		panic(err)
	}
	return file
})

// Control implements [syscall.RawConn].
func (s Socket) Control(f func(fd uintptr)) error {
	if s.Closed.Load() {
		return errors.New("closed")
	}
	f(quiet().Fd())
	return nil
}

// Read does nothing.
func (s Socket) Read(func(fd uintptr) bool) error { return nil }

// Write does nothing.
func (s Socket) Write(func(fd uintptr) bool) error { return nil }
