package wire

// directLiteral is the size in bytes from which a piece of a literal bypasses the buffer. Smaller
// pieces are copied to it.
const directLiteral = 16 << 10

// Write passes on what the server says, and begins TLS when the server has agreed to that.
func (c *conn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.secure(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return c.NetConn().Write(p)
	}
	if err := c.rewrite(p); err != nil {
		return 0, err
	}
	if c.responses.finished {
		c.responses.finished = false
		if c.dialogue.hasMore.Load() {
			c.upgrade()
			c.callAfter()
		}
	}
	return len(p), nil
}

// rewrite writes what the client gets of p.
func (c *conn) rewrite(p []byte) error {
	n, instead := c.responses.plain(p)
	if n == len(p) && instead == "" {
		return c.send(p)
	}
	buf := scratch.Get().(*[8 << 10]byte)
	defer scratch.Put(buf)
	out := appendPlain(buf[:0], p[:n], instead)
	for rest := p[n:]; len(rest) > 0; {
		n := int(min(int64(len(rest)), c.responses.literal))
		switch {
		case n == 0:
			out, n = c.responses.take(out, rest)
		case n < directLiteral && n < len(p):
			out = append(out, rest[:n]...)
			c.responses.literal -= int64(n)
		default:
			if err := c.write(out); err != nil {
				return err
			}
			out = out[:0]
			if err := c.write(rest[:n]); err != nil {
				return err
			}
			c.responses.literal -= int64(n)
		}
		rest = rest[n:]
	}
	return c.send(out)
}

// send writes p, unless the server has shown that it is set up wrongly.
func (c *conn) send(p []byte) error {
	if !c.greeted || c.dialogue.failure.Load() != nil {
		c.greeted = true
		if err := c.dialogue.spoken(); err != nil {
			return err
		}
	}
	if c.hold(p) {
		return nil
	}
	return c.write(p)
}

// write writes what is held and p.
func (c *conn) write(p []byte) (err error) {
	switch {
	case !c.held.empty():
		err = c.held.write(c.NetConn(), p)
	case len(p) > 0:
		_, err = c.NetConn().Write(p)
	}
	if err != nil {
		c.held.torn = true
	}
	return err
}

// betweenLines reports whether a whole response may be written now.
func (c *conn) betweenLines() bool { return !c.held.torn && c.responses.betweenLines() }
