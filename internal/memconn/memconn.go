// Package memconn is a buffered, full-duplex connection in memory.
//
// Unlike [net.Pipe] it has room for bytes that nobody has read yet, as a socket has, so that a
// client can pipeline commands and a server can write a response in several pieces without a
// goroutine switch for each. It uses nothing that [testing/synctest] cannot wait for.
package memconn

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// bufferSize is how many unread bytes one direction holds before a Write blocks.
const bufferSize = 64 << 10

// Conn is one end of a connection made by [Pipe]. Its methods may be called from several goroutines
// at once.
type Conn struct {
	in, out       *stream
	local, remote net.Addr
}

var _ net.Conn = (*Conn)(nil)

// Pipe returns the two ends of a new connection. The first has the address a and the second the
// address b.
func Pipe(a, b net.Addr) (*Conn, *Conn) {
	ab, ba := newStream(), newStream()
	return &Conn{in: ba, out: ab, local: a, remote: b}, &Conn{in: ab, out: ba, local: b, remote: a}
}

// Read reads what the other end wrote. After the other end was closed it returns what is left, then
// [io.EOF].
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write hands p to the other end, and blocks while that has too many bytes unread.
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close ends both directions. What this end has written can still be read at the other one.
func (c *Conn) Close() error {
	c.out.closeWrite()
	c.in.closeRead()
	return nil
}

// CloseWrite tells the other end that nothing more will be written, as [net.TCPConn.CloseWrite]
// does.
func (c *Conn) CloseWrite() error {
	c.out.closeWrite()
	return nil
}

// LocalAddr returns the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline makes reads fail with [os.ErrDeadlineExceeded] from t on. The zero time means
// never. After this end was closed it fails with [net.ErrClosed], as that of a socket does.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.in.setDeadline(&c.in.readDeadline, &c.in.readClosed, t)
}

// SetWriteDeadline makes writes fail with [os.ErrDeadlineExceeded] from t on. The zero time means
// never. After this end was closed it fails with [net.ErrClosed].
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.out.setDeadline(&c.out.writeDeadline, &c.out.writeClosed, t)
}

// stream is one direction.
type stream struct {
	mu                          sync.Mutex
	changed                     sync.Cond // broadcast after every change below
	unread                      []byte
	buf                         []byte // backs unread
	writeClosed, readClosed     bool
	readDeadline, writeDeadline deadline
}

func newStream() *stream {
	s := &stream{}
	s.changed.L = &s.mu
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readClosed:
			return 0, net.ErrClosed
		case s.readDeadline.passed():
			return 0, os.ErrDeadlineExceeded
		case len(s.unread) > 0:
			n := copy(p, s.unread)
			s.unread = s.unread[n:]
			s.changed.Broadcast()
			return n, nil
		case s.writeClosed:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		s.changed.Wait()
	}
}

func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := 0
	for {
		switch {
		case s.writeClosed:
			return written, net.ErrClosed
		case s.readClosed:
			return written, io.ErrClosedPipe
		case s.writeDeadline.passed():
			return written, os.ErrDeadlineExceeded
		}
		if n := min(len(p), bufferSize-len(s.unread)); n > 0 {
			s.appendLocked(p[:n])
			p, written = p[n:], written+n
			s.changed.Broadcast()
		}
		if len(p) == 0 {
			return written, nil
		}
		s.changed.Wait()
	}
}

// appendLocked adds p to what is unread. It uses the memory of what was read if that is enough.
func (s *stream) appendLocked(p []byte) {
	if len(s.unread)+len(p) > cap(s.unread) {
		if need := len(s.unread) + len(p); need > len(s.buf) {
			s.buf = make([]byte, min(bufferSize, max(need, 2*len(s.buf))))
			s.unread = s.buf[:copy(s.buf, s.unread)]
		} else {
			s.unread = s.buf[:copy(s.buf, s.unread)]
		}
	}
	s.unread = append(s.unread, p...)
}

func (s *stream) closeWrite() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeClosed = true
	s.writeDeadline.stop()
	s.changed.Broadcast()
}

func (s *stream) closeRead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readClosed = true
	s.readDeadline.stop()
	s.changed.Broadcast()
}

func (s *stream) setDeadline(d *deadline, closed *bool, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *closed {
		return net.ErrClosed
	}
	d.stop()
	d.at = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		if d.timer == nil {
			d.timer = time.AfterFunc(wait, s.wake)
		} else {
			d.timer.Reset(wait)
		}
	}
	s.changed.Broadcast()
	return nil
}

func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

// deadline is a time and the timer that wakes those who wait for it.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}
