package socket

import "golang.org/x/sys/unix"

const socketsTell = true

// pollHangUp asks for POLLRDHUP, which is there as soon as the client's FIN is, also while bytes
// before it are unread. POLLERR and POLLHUP, of a reset, come unasked.
func pollHangUp(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 &&
		fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

// sentBytes asks TCP; other sockets do not tell.
func sentBytes(fd uintptr) (confirmed uint64, more, ok bool) {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, false, false
	}
	return info.Bytes_acked, info.Unacked > 0 || info.Notsent_bytes > 0, true
}

// writtenBytes adds what was confirmed to what waits in the socket, asked in that order: what is
// confirmed in between is not counted for the moment, rather than twice.
func writtenBytes(fd uintptr) (written uint64, ok bool) {
	confirmed, _, ok := sentBytes(fd)
	if !ok {
		return 0, false
	}
	waiting, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	return confirmed + uint64(waiting), err == nil
}
