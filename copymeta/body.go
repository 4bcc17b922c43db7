package copymeta

// body is the content of a message, which is written to a spool.
type body struct {
	spool  *spool
	inFile bool
	offset int64
	size   int64                // bytes written so far
	start  [len(emptyLine)]byte // the first of them
	keep   int64                // how many of them are kept
	lines  *lineEnds            // nil: not counted
}

// body returns a body of the given size. Bodies are written one after the other. Bytes for which no
// room is reserved are not kept.
func (s *spool) body(size int64) *body {
	b := &body{spool: s, inFile: s.inFile, offset: int64(len(s.memory)), keep: min(size, s.room)}
	if s.inFile {
		b.offset = s.length
	}
	s.room -= b.keep
	return b
}

// longerBody returns a body that is larger than what is reserved. It goes to the file, and does not
// wait for room there.
func (s *spool) longerBody(size int64) (*body, error) {
	if err := s.takeRoom(size); err != nil {
		return nil, err
	}
	return &body{spool: s, inFile: true, offset: s.length, keep: size, lines: &lineEnds{}}, nil
}

// drop gives back the room of a body that is not wanted after all. It is not for a longer body.
func (s *spool) drop(b *body) {
	switch end := b.offset + min(b.size, b.keep); {
	case b.inFile:
		s.room += b.keep
	case end == int64(len(s.memory)):
		s.room += b.keep
		s.memory = s.memory[:b.offset]
	}
	b.keep = 0
}

func (b *body) Write(p []byte) (int, error) {
	written := len(p)
	if b.size < int64(len(b.start)) {
		copy(b.start[b.size:], p)
	}
	if b.lines != nil {
		b.lines.count(p)
	}
	p = p[:max(0, min(int64(written), b.keep-b.size))]
	b.size += int64(written)
	if len(p) == 0 {
		return written, nil
	}
	if !b.inFile {
		b.spool.memory = append(b.spool.memory, p...)
		return written, nil
	}
	if err := b.spool.write(p); err != nil {
		return 0, err
	}
	return written, nil
}

// lineEnds counts the CRLFs of a message, and those up to the empty line at the end of its header.
type lineEnds struct {
	all, header int64

	afterHeader bool
	line        int64 // bytes of the line so far
	last        byte
}

func (l *lineEnds) count(p []byte) {
	for _, b := range p {
		l.line++
		if b == '\n' {
			if l.last == '\r' {
				l.all++
			}
			if !l.afterHeader {
				l.header = l.all
				l.afterHeader = l.line == 2 && l.last == '\r'
			}
			l.line = 0
		}
		l.last = b
	}
}
