package wire

import (
	"math"
	"time"
)

// deadline is the read or write deadline of a connection. go-imap sets one for each command and
// each response, and each time the runtime would move a timer, although hardly one ever fires. So
// one that is later than the one before is applied by look, up to aheadInterval after it was set. A
// connection whose deadline has passed fails until it gets another, so one that passes soon is
// replaced at once.
type deadline struct {
	want time.Time // as the server has set it
	set  int64     // as the connection has it, in Unix nanoseconds; 0: none; passed: it is over soon
}

// passed is later than any deadline, so that the next one is applied at once.
const passed = math.MaxInt64

// soon is how long before a deadline look must have seen it, to be in time on a busy machine too.
const soon = 10 * time.Second

// change notes a new deadline, and reports whether it must be applied now.
func (d *deadline) change(t time.Time) (now bool) {
	d.want = t
	return d.set == passed || !t.IsZero() && (d.set == 0 || t.UnixNano() < d.set)
}

// apply gives the connection the deadline, unless it has it.
func (d *deadline) apply(set func(time.Time) error) (err error) {
	want := int64(0)
	if !d.want.IsZero() {
		want = d.want.UnixNano()
	}
	if want != d.set {
		d.set = want
		err = set(d.want)
	}
	if want != 0 && time.Until(d.want) < soon {
		d.set = passed
	}
	return err
}

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline is for the server only: it does not interrupt reading ahead. When the connection
// has ended, it does nothing, as then there are the deadlines of the goodbye.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	if c.life.ended || !c.life.reads.change(t) && c.socket != nil || c.life.ahead != nil {
		return nil
	}
	return c.life.reads.apply(c.NetConn().SetReadDeadline)
}

// SetWriteDeadline sets the deadline of writing. An earlier one than before interrupts a Write. It
// does nothing either when the connection has ended.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	if c.life.ended || !c.life.writes.change(t) && c.socket != nil {
		return nil
	}
	return c.life.writes.apply(c.NetConn().SetWriteDeadline)
}

// applyDeadlinesLocked gives the connection the deadlines that the server has set.
func (c *conn) applyDeadlinesLocked() {
	l, inner := &c.life, c.NetConn()
	l.writes.apply(inner.SetWriteDeadline)
	if l.ahead == nil {
		l.reads.apply(inner.SetReadDeadline)
	}
}

// renewReadDeadline gives the connection the read deadline, whatever it has. If the connection has
// ended, it has the one of linger.
func (c *conn) renewReadDeadline() {
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	if c.life.ended {
		return
	}
	c.life.reads.set = passed
	c.life.reads.apply(c.NetConn().SetReadDeadline)
}
