package limits

import "golang.org/x/sys/unix"

const hangUpIsSeen = true

// pollHangUp asks for POLLRDHUP, which is there as soon as the client's FIN is, also while bytes before it are unread. POLLERR and
// POLLHUP, of a reset, come unasked.
func pollHangUp(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}
