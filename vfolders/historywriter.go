package vfolders

import (
	"encoding/binary"
	"errors"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
)

const (
	// writeDelay is how long a name may wait until it is written. A crash loses no more, also one of
	// the machine, because each write is synced. So a disk is bothered once a second at most, and no
	// command waits for it.
	writeDelay = time.Second
	// retryDelay is how long it takes after a failure until the file is written again.
	retryDelay = time.Minute
	// maxPending is how many bytes may wait. If there are more, because the disk hangs, they are
	// dropped, and the file is written as a whole instead.
	maxPending = 256 << 10
)

// historyFile writes what a History remembers into its file, which is closed in between.
type historyFile struct {
	path    string
	history *History
	logger  imapserver.Logger
	lock    io.Closer

	writing sync.Mutex // held while the file is written
	records int        // how many are in the file
	failed  bool       // whether the last write did

	mu      sync.Mutex // of what follows, never held for long
	pending []byte     // the records that are not in the file yet
	whole   bool       // whether the file must be written as a whole, pending or not
	timer   *time.Timer
	isDue   bool // whether the timer is set, or the file is being written because of it
	closed  bool
}

// note writes a key, later.
func (f *historyFile) note(key uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	if len(f.pending) >= maxPending {
		f.whole = true
	}
	if f.whole {
		f.pending = nil
	} else {
		f.pending = binary.BigEndian.AppendUint64(f.pending, key)
	}
	if !f.isDue {
		f.writeAfterLocked(writeDelay)
	}
}

func (f *historyFile) writeAfterLocked(delay time.Duration) {
	f.isDue = true
	f.timer = time.AfterFunc(delay, f.writeDue)
}

// writeDue is called by the timer.
func (f *historyFile) writeDue() {
	f.writing.Lock()
	defer f.writing.Unlock()
	if f.isClosed() {
		return // and another process may have the file
	}
	err := f.write()
	f.tell(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.isDue = false
	switch {
	case f.closed:
	case err != nil:
		f.writeAfterLocked(retryDelay)
	case f.whole || len(f.pending) > 0:
		f.writeAfterLocked(writeDelay)
	}
}

func (f *historyFile) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// tell logs that the file cannot be written, or can be again, once each time.
func (f *historyFile) tell(err error) {
	switch {
	case err != nil && !f.failed:
		f.logf("vfolders: the history is only in memory now: %v", err)
	case err == nil && f.failed:
		f.logf("vfolders: the history is in its file again: %s", f.path)
	}
	f.failed = err != nil
}

// logf logs. It is called by a timer, where a panic of the logger would end the program.
func (f *historyFile) logf(format string, args ...any) {
	defer func() {
		if v := recover(); v != nil {
			log.Printf("vfolders: panic of the logger of a history: %v\n%s", v, debug.Stack())
			log.Printf(format, args...)
		}
	}()
	logger := f.logger
	if logger == nil {
		logger = log.Default()
	}
	logger.Printf(format, args...)
}

// write writes what is pending. If that fails, the file may have anything at its end, and so the
// next write is one of the whole file.
func (f *historyFile) write() error {
	f.mu.Lock()
	pending, whole := f.pending, f.whole
	f.pending, f.whole = nil, false
	f.mu.Unlock()
	added := len(pending) / recordSize
	var err error
	switch {
	case whole, f.records+added > maxRecords:
		file := f.history.encode() // has all that was pending, and maybe some of what is now
		if err = replaceFile(f.path, file); err == nil {
			f.records = (len(file) - len(historyStart) - len(f.history.key)) / recordSize
		}
	case added > 0:
		if err = appendToFile(f.path, pending); err == nil {
			f.records += added
		}
	}
	if err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.pending, f.whole = nil, true
	}
	return err
}

func (f *historyFile) close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.closed = true
	if f.timer != nil {
		f.timer.Stop()
	}
	f.mu.Unlock()
	f.writing.Lock()
	defer f.writing.Unlock()
	return errors.Join(f.write(), f.lock.Close())
}

// appendToFile appends to a file that exists. After an error there may be a part of the data.
func appendToFile(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	return writeTo(file, data)
}

// replaceFile makes a file or replaces it. After an error or a crash the old one is there.
func replaceFile(path string, data []byte) error {
	temporary := path + ".new"
	os.Remove(temporary) // left by a crash
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = writeTo(file, data)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		os.Remove(temporary)
		return err
	}
	// Or else a crash could undo the renaming, and so all that is appended from now on. Not every
	// system can do that.
	if folder, err := os.Open(filepath.Dir(path)); err == nil {
		folder.Sync()
		folder.Close()
	}
	return nil
}

// writeTo writes to a file, and closes it.
func writeTo(file *os.File, data []byte) error {
	_, err := file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}
