package vfolders

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/emersion/go-imap/v2/imapserver"
)

// A history file is a line of text, the key of the hashes, and then the hashes, of 8 bytes each, in
// the order in which the names were seen. After a crash the last ones may be missing or torn, or
// have other bytes in their place: those are hashes that no name has.
const (
	historyFormat  = "imapgate history "
	historyVersion = "1\n"
	historyStart   = historyFormat + historyVersion
	recordSize     = 8
	// maxRecords is how many hashes a file has at most. It is twice as many as are remembered, so that
	// the file is seldom written as a whole.
	maxRecords = 2 * historyParts * 2 * generationSize
)

// OpenHistory returns a History that also keeps the names in a file, as keyed hashes, and makes the
// file if there is none. The logger, or [log.Default] for nil, is told if it cannot be written
// later. A file that another process uses, or that is no history, is an error and stays as it is.
func OpenHistory(file string, logger imapserver.Logger) (*History, error) {
	h, err := openHistory(file)
	if err != nil {
		return nil, fmt.Errorf("vfolders: the history %s: %w", file, err)
	}
	h.file.logger = logger
	return h, nil
}

// Close writes what is not in the file yet, and lets another process have the file. The History can
// still be used, but only in memory. Without a file, or again, it does nothing and returns nil.
func (h *History) Close() error {
	if h.file == nil {
		return nil
	}
	return h.file.close()
}

func openHistory(file string) (h *History, err error) {
	path, err := filepath.Abs(file) // the program may change its folder
	if err != nil {
		return nil, err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // or else the link would be replaced
	}
	// No lock is put beside a file that is none of ours.
	if file, err := openToRead(path); err == nil {
		file.Close()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	h, err = readHistory(path)
	if errors.Is(err, fs.ErrNotExist) {
		h = newHistory(path)
		err = h.file.write() // so that a folder that is missing is noticed now
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	h.file.lock = lock
	return h, nil
}

// newHistory returns one whose file has to be written as a whole.
func newHistory(path string) *History {
	h := &History{}
	h.hasKey.Do(h.makeKey)
	h.file = &historyFile{path: path, history: h, whole: true}
	return h
}

// openToRead opens a file that is a history, and reads how it starts.
func openToRead(path string) (*os.File, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() { // opening a FIFO would wait for a writer
		return nil, errors.New("it is no ordinary file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := readStart(file); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func readStart(file *os.File) error {
	start := make([]byte, len(historyStart))
	n, err := io.ReadFull(file, start)
	if err != nil && !isCutOff(err) {
		return err
	}
	return checkStart(string(start[:n]))
}

// readHistory returns what is in a file.
func readHistory(path string) (*History, error) {
	file, err := openToRead(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	h := newHistory(path)
	if err := h.read(bufio.NewReader(file)); !isCutOff(err) {
		return nil, err
	}
	return h, nil
}

// isCutOff tells whether a file has ended, maybe too early.
func isCutOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// read reads what comes after the start up to the end, where it returns io.EOF or, if that is not
// the end of a record, io.ErrUnexpectedEOF.
func (h *History) read(file io.Reader) error {
	var key historyKey
	if _, err := io.ReadFull(file, key[:]); err != nil {
		return err
	}
	h.key = key
	record := make([]byte, recordSize)
	for {
		if _, err := io.ReadFull(file, record); err != nil {
			h.file.whole = !errors.Is(err, io.EOF)
			return err
		}
		key := binary.BigEndian.Uint64(record)
		h.partOf(key).add(key)
		h.file.records++
	}
}

// checkStart returns an error if a file that begins so, or has no more than that, is none of ours.
func checkStart(start string) error {
	version, isHistory := strings.CutPrefix(start, historyFormat)
	switch {
	case strings.HasPrefix(historyStart, start):
		return nil
	case isHistory:
		return fmt.Errorf("it has version %q of the format, and not %q", version, historyVersion)
	default:
		return errors.New("it is not a history")
	}
}

// encode returns the file as it should be.
func (h *History) encode() []byte {
	file := append([]byte(historyStart), h.key[:]...)
	for i := range h.parts {
		file = h.parts[i].appendTo(file)
	}
	return file
}
