package copymeta

import (
	"bufio"
	"bytes"
	"io"
	"os"

	"github.com/emersion/go-imap/v2"
)

// spool holds the bodies of the messages of one command: in memory while there is room, then in a
// file.
type spool struct {
	dir    string
	memory int64 // bytes of room left
	file   *os.File
	name   string // of the file, if it still has one
	out    *bufio.Writer
	length int64 // of the file
}

// body is the content of a message in a spool.
type body struct {
	held   []byte // nil if it is in the file
	offset int64
	size   int64 // bytes written so far
}

// writer returns where to write the body, which will be of the given size. One is to be written
// after the other.
func (s *spool) writer(b *body, size int64) (io.Writer, error) {
	if size <= s.memory {
		s.memory -= size
		b.held = make([]byte, 0, size)
		return &bodyWriter{body: b}, nil
	}
	if s.file == nil {
		if err := s.create(); err != nil {
			return nil, err
		}
	}
	b.offset = s.length
	return &bodyWriter{body: b, spool: s}, nil
}

func (s *spool) create() error {
	file, err := os.CreateTemp(s.dir, "imapgate-copy-")
	if err != nil {
		return err
	}
	s.file, s.out = file, bufio.NewWriterSize(file, 64<<10)
	if err := os.Remove(file.Name()); err != nil {
		s.name = file.Name() // Windows removes no open file
	}
	return nil
}

// flush ends the writing.
func (s *spool) flush() error {
	if s.file == nil {
		return nil
	}
	return s.out.Flush()
}

// literal returns a reader for the body, after flush.
func (s *spool) literal(b body) imap.LiteralReader {
	if b.held != nil {
		return bytes.NewReader(b.held)
	}
	return io.NewSectionReader(s.file, b.offset, b.size)
}

func (s *spool) close() {
	if s.file == nil {
		return
	}
	s.file.Close()
	if s.name != "" {
		os.Remove(s.name)
	}
}

// bodyWriter writes to the file of the spool, or to memory if it has none.
type bodyWriter struct {
	body  *body
	spool *spool
}

func (w *bodyWriter) Write(p []byte) (int, error) {
	w.body.size += int64(len(p))
	if w.spool == nil {
		w.body.held = append(w.body.held, p...)
		return len(p), nil
	}
	w.spool.length += int64(len(p))
	return w.spool.out.Write(p)
}
