//go:build !linux

package socket

// Other systems show a FIN only after everything before it has been read, and count sent bytes in
// other ways.
const socketsTell = false

func pollHangUp(uintptr) bool { return false }

func sentBytes(uintptr) (confirmed uint64, more, ok bool) { return 0, false, false }

func writtenBytes(uintptr) (written uint64, ok bool) { return 0, false }

// poll has nothing to ask: no socket is watched.
type poll struct{}

const pollSize = 1

func (*poll) hungUp([]*Watch) []*Watch { return nil }
