package copymeta

import (
	"cmp"
	"fmt"
	"log"
	"math"
	"os"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
)

// DefaultMaxMemory is the MaxMemory of Options that do not set one: 8 MiB.
const DefaultMaxMemory = 8 << 20

// Options say what a copy has of its source. The zero value leaves everything to the backend.
type Options struct {
	// InternalDate is for the internal date of a copy. The zero value is [Keep].
	InternalDate Policy
	// Flags is for the flags of a copy, keywords among them. The zero value is [Keep].
	Flags Policy
	// Move makes MOVE obey InternalDate, Flags and PolicyFor too. The zero value leaves MOVE to the
	// backend: a message that was moved is the same message.
	Move bool
	// PolicyFor, if it is not nil, decides for each COPY instead of InternalDate and Flags, by the
	// names of the mailboxes as the client gave them, but INBOX in capitals. It is called from many
	// goroutines at once.
	PolicyFor func(source, dest string) (date, flags Policy) `toml:"-"`
	// Username, if it is not nil, returns who is logged in, or "" if it does not know, for
	// MaxTotalMemory and MaxTotalBytes. It gets the backend's session, without the wrappers of this
	// module. It is called from many goroutines at once.
	Username func(session imapserver.Session) string `toml:"-"`

	// MaxMemory is how many bytes of messages one session holds in memory during a COPY; the rest goes
	// to a temporary file. Zero means [DefaultMaxMemory]; 1 is as good as none.
	MaxMemory int64
	// MaxBytes is how many bytes the messages of one COPY may have together. More are refused with
	// [ErrTooLarge]. It also bounds the temporary file. Zero means no limit.
	MaxBytes int64
	// MaxTotalMemory is how many bytes of messages all sessions of one Wrap hold in memory together,
	// and those of one user half as many, or those of a single larger COPY. No COPY waits for it: what
	// has no room goes to the temporary file sooner. Zero means no limit.
	MaxTotalMemory int64
	// MaxTotalBytes is the same for the temporary files. But a COPY that would exceed it waits its
	// turn for up to QueueTimeout, or gets [ErrTooLarge] if it can never have as much. Zero means no
	// limit.
	MaxTotalBytes int64
	// QueueTimeout is how long a COPY or MOVE waits for MaxTotalBytes, before it gets [ErrBusy], and
	// how long a MOVE waits for others of the same messages, before it gets [ErrInUse]. Zero means
	// until its client hangs up.
	QueueTimeout time.Duration
	// ProgressInterval is how often the client reads an INPROGRESS response (RFC 9585) while a COPY or
	// MOVE that is not left to the backend waits or runs. Zero means never.
	ProgressInterval time.Duration
	// TempDir is the folder of the temporary files. Empty means [os.TempDir].
	TempDir string

	// Logger gets what the client is not told: why a COPY stopped halfway when the answer only says
	// how far it came, and what could not be put back. Nil means [log.Default].
	Logger imapserver.Logger `toml:"-"`
}

// DefaultOptions returns bounds that suit a public server: 256 MiB for one COPY, for all together
// 64 MiB of memory and 1 GiB of files, for which a COPY waits up to 40 s, and a notice to the
// client every 10 s. They leave everything to the backend until a policy is set.
func DefaultOptions() *Options {
	return &Options{
		MaxMemory:        DefaultMaxMemory,
		MaxBytes:         256 << 20,
		MaxTotalMemory:   64 << 20,
		MaxTotalBytes:    1 << 30,
		QueueTimeout:     40 * time.Second,
		ProgressInterval: 10 * time.Second,
	}
}

// Validate returns an error that names the first field whose value is a mistake, and the value.
func (o *Options) Validate() error {
	if err := (policies{o.InternalDate, o.Flags}).validate("InternalDate", "Flags"); err != nil {
		return err
	}
	switch {
	case o.MaxMemory < 0:
		return fmt.Errorf("copymeta: MaxMemory is %d, which is negative", o.MaxMemory)
	case o.MaxBytes < 0:
		return fmt.Errorf("copymeta: MaxBytes is %d, which is negative", o.MaxBytes)
	case o.MaxTotalMemory < 0:
		return fmt.Errorf("copymeta: MaxTotalMemory is %d, which is negative", o.MaxTotalMemory)
	case o.MaxTotalBytes < 0:
		return fmt.Errorf("copymeta: MaxTotalBytes is %d, which is negative", o.MaxTotalBytes)
	case o.QueueTimeout < 0:
		return fmt.Errorf("copymeta: QueueTimeout is %v, which is negative", o.QueueTimeout)
	case o.ProgressInterval < 0:
		return fmt.Errorf("copymeta: ProgressInterval is %v, which is negative", o.ProgressInterval)
	case o.TempDir != "":
		if info, err := os.Stat(o.TempDir); err != nil || !info.IsDir() {
			return fmt.Errorf("copymeta: TempDir is %q, which is no folder", o.TempDir)
		}
	}
	return nil
}

func (o *Options) maxMemory() int64 { return cmp.Or(o.MaxMemory, DefaultMaxMemory) }
func (o *Options) maxBytes() int64  { return cmp.Or(o.MaxBytes, math.MaxInt64) }

// logf logs. Errors of the backend may contain what the client has sent: quote them.
func (o *Options) logf(format string, args ...any) {
	if o.Logger != nil {
		o.Logger.Printf(format, args...)
	} else {
		log.Printf(format, args...)
	}
}
