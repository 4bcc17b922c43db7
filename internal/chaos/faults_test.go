package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2"
)

// failures are errors of backends, with and without an answer for the client.
var failures = []error{
	&imap.Error{Type: imap.StatusResponseTypeNo, Text: "Not now"},
	&imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeUnavailable,
		Text: "Try again later",
	},
	&imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeInUse,
		Text: "Somebody else has it",
	},
	&imap.Error{Type: imap.StatusResponseTypeBad, Text: "What do you mean"},
	fmt.Errorf(
		"query: %w",
		&imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeServerBug, Text: "Wrapped"},
	),
	errors.New("disk on fire"),
	io.ErrUnexpectedEOF,
	context.DeadlineExceeded,
	fmt.Errorf("read from the database: %w", os.ErrDeadlineExceeded),
	fmt.Errorf("write to the database: %w", syscall.ECONNRESET),
}

// errPanic is what the backend panics with.
var errPanic = errors.New("chaos")

// faults makes the calls of a session slow, and makes some of them fail or panic.
type faults struct {
	unit   time.Duration
	off    *atomic.Bool
	panics *atomic.Int64

	mu   sync.Mutex // IDLE runs at the same time as other commands
	dice *rand.Rand
}

// strike is called where something may go wrong. It may wait, but not after the context is done.
func (f *faults) strike(ctx context.Context) error {
	if f.off.Load() {
		return nil
	}
	switch n := f.roll(300); {
	case n < 1:
		f.panic()
	case n < 10:
		return failures[f.roll(len(failures))]
	case n < 80:
		pause(ctx, f.upTo(f.unit))
	case n < 84:
		pause(ctx, f.upTo(4*f.unit))
	}
	return nil
}

// strikeHard is strike for calls that cannot return an error: it can only panic.
func (f *faults) strikeHard() {
	if !f.off.Load() && f.roll(300) == 0 {
		f.panic()
	}
}

func (f *faults) panic() {
	f.panics.Add(1)
	panic(errPanic)
}

func (f *faults) roll(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dice.IntN(n)
}

func (f *faults) upTo(d time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Duration(f.dice.Int64N(int64(d)))
}

// pause waits for d. It returns false if the context is done first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
