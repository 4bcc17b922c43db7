package wire

import (
	"net"
	"time"

	"github.com/imapgate/imapgate/internal/layers"
)

// heldDelay is how long data of a response waits for the rest of the answer. go-imap writes each
// line of an answer by itself. One system call for all of them, and one packet, cost a fraction of
// that. The price is that the data of a slow command arrives this much later.
const heldDelay = 5 * time.Millisecond

// flushTimeout is how long a client may take to accept what was held. go-imap gives it as long for
// each line.
const flushTimeout = 30 * time.Second

// held is data that was not written yet. The zero held is empty.
type held struct {
	buffer *[bufferSize]byte // nil if empty
	n      int32             // bytes in buffer
	timer  bool              // flush will be called
	torn   bool              // a write has failed, so half a line may be sent
}

func (h *held) empty() bool { return h.n == 0 }

// add keeps p, and returns false if there is no room.
func (h *held) add(p []byte) bool {
	if len(p) > bufferSize-int(h.n) {
		return false
	}
	if h.buffer == nil {
		h.buffer = scratch.Get().(*[bufferSize]byte)
	}
	h.n += int32(copy(h.buffer[h.n:], p))
	return true
}

// write writes what is held, and p, if possible in one piece.
func (h *held) write(conn net.Conn, p []byte) error {
	out := h.buffer[:h.n]
	if len(out)+len(p) <= bufferSize {
		out, p = append(out, p...), nil
	}
	_, err := conn.Write(out)
	scratch.Put(h.buffer)
	h.buffer, h.n = nil, 0
	if err == nil && len(p) > 0 {
		_, err = conn.Write(p)
	}
	return err
}

// hold keeps p for a while, and returns false if it must be written now. The timer is not stopped
// when there is nothing to flush, because starting one for each command would cost more.
func (c *conn) hold(p []byte) bool {
	if !c.responses.mayWait() || c.socket == nil || !c.held.add(p) {
		return false
	}
	if !c.held.timer {
		c.held.timer = true
		time.AfterFunc(heldDelay, c.flush)
	}
	return true
}

// flush writes what is held, because the rest of the answer has not come.
func (c *conn) flush() {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.held.timer = false
	if c.held.empty() {
		return
	}
	timer := time.AfterFunc(flushTimeout, func() { c.NetConn().Close() })
	defer timer.Stop()
	if c.write(nil) != nil {
		layers.Innermost(c.NetConn()).Close() // a part of a line may be sent
	}
}
