package copymeta

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"strings"

	"github.com/emersion/go-imap/v2"
)

const (
	fileBuffer = 4 << 10 // bytes
	// maxHeldFlags is how many bytes of flags a spool holds in memory; equal lists count once. That is
	// enough for the flags that people use, but a client can make up more.
	maxHeldFlags = 16 << 10
)

// spool holds the bodies and flags of the messages of one command, the first bodies in memory and
// the others in a file.
type spool struct {
	*shared
	held                 int   // how many messages are for the memory
	memoryRoom, fileRoom int64 // bytes that were reserved

	memory []byte
	file   *os.File
	name   string // of the file, if it still has one
	out    *bufio.Writer
	length int64 // of the file
	inFile bool  // the bodies that come now go to the file
	room   int64 // what is left of what was reserved for them

	flagSets    []flagSet
	flagNumbers map[[sha256.Size]byte]int32 // by the text of the flags
	heldFlags   int64                       // bytes of flags in memory
	spilled     int64                       // bytes in the file that were not reserved
}

// flagSet is a list of flags, in the file if it has a size and no text.
type flagSet struct {
	text         string
	offset, size int64
}

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

// addFlags keeps a list of flags, and returns its number. It goes to the file if there is no room
// for it in memory.
func (s *spool) addFlags(flags []imap.Flag) (int32, error) {
	text := joinFlags(flags)
	sum := sha256.Sum256([]byte(text))
	if number, ok := s.flagNumbers[sum]; ok {
		return number, nil
	}
	set := flagSet{size: int64(len(text))}
	if s.heldFlags+set.size <= maxHeldFlags {
		s.heldFlags += set.size
		set.text = text
	} else {
		var err error
		if set.offset, err = s.spill(text); err != nil {
			return 0, err
		}
	}
	if s.flagNumbers == nil {
		s.flagNumbers = make(map[[sha256.Size]byte]int32)
	}
	number := int32(len(s.flagSets))
	s.flagNumbers[sum] = number
	s.flagSets = append(s.flagSets, set)
	return number, nil
}

// spill writes the text to the file, without waiting for room there.
func (s *spool) spill(text string) (offset int64, err error) {
	if err := s.takeRoom(int64(len(text))); err != nil {
		return 0, err
	}
	offset = s.length
	return offset, s.write([]byte(text))
}

// takeRoom takes room in the file for what was not known when the rest was reserved.
func (s *spool) takeRoom(size int64) error {
	if size > s.options.maxBytes()-s.memoryRoom-s.fileRoom-s.spilled {
		return ErrTooLarge
	}
	if !try(s.budget.files, size) {
		return ErrBusy
	}
	s.spilled += size
	return nil
}

// flags returns the list of flags with the number. It is called after flush.
func (s *spool) flags(number int32) ([]imap.Flag, error) {
	set := s.flagSets[number]
	if set.text != "" || set.size == 0 {
		return splitFlags(set.text), nil
	}
	text := make([]byte, set.size)
	if _, err := s.file.ReadAt(text, set.offset); err != nil {
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
	s.releaseMemory()
	release(s.budget.files, s.fileRoom+s.spilled)
}

func (s *spool) releaseMemory() {
	release(s.budget.memory, s.memoryRoom)
	s.held, s.memoryRoom, s.memory = 0, 0, nil
}
