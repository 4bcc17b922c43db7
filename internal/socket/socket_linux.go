package socket

import "golang.org/x/sys/unix"

const socketsTell = true

// pollHangUp asks for POLLRDHUP, which is set as soon as the client's FIN arrives, even if bytes
// before it are unread. POLLERR and POLLHUP, after a reset, need not be asked for.
func pollHangUp(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && saysHungUp(fds[0])
}

func saysHungUp(fd unix.PollFd) bool {
	return fd.Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

// pollSize is how many sockets one system call asks. Closing one of them waits for that call.
const pollSize = 64

// poll asks several sockets at once. No descriptor may be closed during the call, so poll calls
// Control of each socket inside Control of the one before it. It is for one goroutine.
type poll struct {
	watches []*Watch
	fds     []unix.PollFd // of the watches so far; negative for a closed socket
	gone    []*Watch
	inside  func(fd uintptr) // the method value of add, allocated once
}

// hungUp returns the watches whose client has hung up. The slice is valid until the next call.
func (p *poll) hungUp(watches []*Watch) []*Watch {
	if p.inside == nil {
		p.inside = p.add
	}
	clear(p.gone)
	p.watches, p.fds, p.gone = watches, p.fds[:0], p.gone[:0]
	p.next()
	p.watches = nil
	return p.gone
}

// next continues with the next socket, or asks if there is none.
func (p *poll) next() {
	for len(p.fds) < len(p.watches) {
		at := len(p.fds)
		if p.watches[at].socket.raw.Control(p.inside) == nil {
			return
		}
		p.fds = append(p.fds, unix.PollFd{Fd: -1})
	}
	p.ask()
}

func (p *poll) add(fd uintptr) {
	p.fds = append(p.fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLRDHUP})
	p.next()
}

func (p *poll) ask() {
	_, err := unix.Poll(p.fds, 0)
	for i, fd := range p.fds {
		if fd.Fd < 0 || err == nil && saysHungUp(fd) {
			p.gone = append(p.gone, p.watches[i])
		}
	}
}

// sentBytes asks TCP; other sockets do not know.
func sentBytes(fd uintptr) (confirmed uint64, more, ok bool) {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, false, false
	}
	return info.Bytes_acked, info.Unacked > 0 || info.Notsent_bytes > 0, true
}

// writtenBytes adds the confirmed bytes and the bytes that wait in the socket. It asks for them in
// that order, so bytes that are confirmed in between are missed for the moment, and never counted
// twice.
func writtenBytes(fd uintptr) (written uint64, ok bool) {
	confirmed, _, ok := sentBytes(fd)
	if !ok {
		return 0, false
	}
	waiting, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	return confirmed + uint64(waiting), err == nil
}
