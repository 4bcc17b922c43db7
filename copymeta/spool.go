package copymeta

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math"
	"os"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/imapgate/imapgate/internal/budget"
)

const (
	fileBuffer = 4 << 10 // bytes
	// maxHeldFlags is how many bytes of flags a spool holds in memory; equal lists count once. That is
	// enough for the flags that people use, but a client can make up more.
	maxHeldFlags = 16 << 10
	// maxFlagSets is how many different lists of flags are known again.
	maxFlagSets = 200
)

// spool holds the bodies and flags of the messages of one command, the first bodies in memory and
// the others in a file.
type spool struct {
	*shared
	memoryShare, fileShare *budget.Share
	held                   int   // how many messages are for the memory
	memoryRoom, fileRoom   int64 // bytes that were reserved

	memory []byte
	file   *os.File
	name   string // of the file, if it still has one
	out    *bufio.Writer
	length int64 // of the file
	inFile bool  // the bodies that come now go to the file
	room   int64 // what is left of what was reserved for them

	flagSets  []string                      // the lists in memory
	flagsAt   map[[sha256.Size]byte]flagsAt // by the text of the flags
	heldFlags int                           // bytes of flags in memory
	spilled   int64                         // bytes in the file that were not reserved
}

// flagsAt says where a spool has a list of flags. It is the number of the list in memory, or, if it
// is negative, the complement of its offset in the file.
type flagsAt int64

// useMemory lets the bodies that come now go to memory.
func (s *spool) useMemory() {
	s.inFile, s.room = false, s.memoryRoom
	s.memory = make([]byte, 0, s.memoryRoom)
}

// useFile lets the bodies that come now go to the file.
func (s *spool) useFile() { s.inFile, s.room = true, s.fileRoom }

func (s *spool) write(p []byte) error {
	if s.file == nil {
		if err := s.create(); err != nil {
			return err
		}
	}
	n, err := s.out.Write(p)
	s.length += int64(n)
	return err
}

func (s *spool) create() error {
	file, err := os.CreateTemp(s.options.TempDir, "imapgate-copy-")
	if err != nil {
		return err
	}
	s.file, s.out = file, bufio.NewWriterSize(file, fileBuffer)
	if err := os.Remove(file.Name()); err != nil {
		s.name = file.Name() // Windows removes no open file
	}
	return nil
}

// addFlags keeps a list of flags, and returns where.
func (s *spool) addFlags(flags []imap.Flag) (flagsAt, error) {
	text := joinFlags(flags)
	sum := sha256.Sum256([]byte(text))
	if at, ok := s.flagsAt[sum]; ok {
		return at, nil
	}
	at, err := s.keepFlags(text)
	if err == nil && len(s.flagsAt) < maxFlagSets {
		if s.flagsAt == nil {
			s.flagsAt = make(map[[sha256.Size]byte]flagsAt)
		}
		s.flagsAt[sum] = at
	}
	return at, err
}

// keepFlags puts the text into the file if there is no room for it in memory.
func (s *spool) keepFlags(text string) (flagsAt, error) {
	if len(s.flagSets) < maxFlagSets && s.heldFlags+len(text) <= maxHeldFlags {
		s.heldFlags += len(text)
		s.flagSets = append(s.flagSets, text)
		return flagsAt(len(s.flagSets) - 1), nil
	}
	offset, err := s.spill(text)
	return ^flagsAt(offset), err
}

// spill writes the length of the text and the text to the file, without waiting for room there.
func (s *spool) spill(text string) (offset int64, err error) {
	record := binary.BigEndian.AppendUint64(nil, uint64(len(text)))
	record = append(record, text...)
	if err := s.takeRoom(int64(len(record))); err != nil {
		return 0, err
	}
	offset = s.length
	return offset, s.write(record)
}

// takeRoom takes room in the file for what was not known when the rest was reserved.
func (s *spool) takeRoom(size int64) error {
	if size > s.options.maxBytes()-s.memoryRoom-s.fileRoom-s.spilled {
		return ErrTooLarge
	}
	if !s.fileShare.Try(size) {
		return ErrBusy
	}
	s.spilled += size
	return nil
}

// flags returns a list of flags. It is called after flush.
func (s *spool) flags(at flagsAt) ([]imap.Flag, error) {
	if at >= 0 {
		return splitFlags(s.flagSets[at]), nil
	}
	record := io.NewSectionReader(s.file, int64(^at), math.MaxInt64)
	var size uint64
	if err := binary.Read(record, binary.BigEndian, &size); err != nil {
		return nil, err
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(record, text); err != nil {
		return nil, err
	}
	return splitFlags(string(text)), nil
}

func joinFlags(flags []imap.Flag) string {
	var text strings.Builder
	for i, flag := range flags {
		if i > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(string(flag))
	}
	return text.String()
}

func splitFlags(text string) (flags []imap.Flag) {
	if text == "" {
		return nil
	}
	for flag := range strings.SplitSeq(text, " ") {
		flags = append(flags, imap.Flag(flag))
	}
	return flags
}

// flush ends the writing. After an error no body in the file is to be used.
func (s *spool) flush() error {
	if s.out == nil {
		return nil
	}
	return s.out.Flush()
}

// literal returns a reader for the body of the message. It is called after flush.
func (s *spool) literal(m *message) imap.LiteralReader {
	if m.inFile {
		return io.NewSectionReader(s.file, m.offset, m.size)
	}
	return bytes.NewReader(s.memory[m.offset:][:m.size])
}

// close removes the file, and gives back what was reserved.
func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
	}
	if s.name != "" {
		os.Remove(s.name)
	}
	s.memory = nil
	s.memoryShare.Close()
	s.fileShare.Close()
}
