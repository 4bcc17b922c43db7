package idle

import (
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/capture"
)

// maxHeld is how many bytes of news are held in memory while a session has its turn to be polled.
// With more, it gives the turn to the next one before the poll is over.
const maxHeld = 64 << 10

// news is what a poll has told so far.
type news struct {
	w         *imapserver.UpdateWriter
	release   func() // called before anything is written to w
	responses [][]byte
	held      int
}

// pollThenWrite polls, and calls release before it writes to the client what is new.
func (s *session) pollThenWrite(w *imapserver.UpdateWriter, release func()) error {
	n := &news{w: w, release: release}
	err := capture.Update(
		func(w *imapserver.UpdateWriter) error { return s.pollLocked(w, true) }, n.add,
	)
	if writeErr := n.write(); err == nil {
		err = writeErr
	}
	return err
}

func (n *news) add(response []byte) error {
	n.responses = append(n.responses, append([]byte(nil), response...))
	if n.held += len(response); n.held > maxHeld {
		return n.write()
	}
	return nil
}

func (n *news) write() error {
	n.release()
	responses := n.responses
	n.responses, n.held = nil, 0
	for _, response := range responses {
		if err := capture.WriteUpdate(n.w, response); err != nil {
			return err
		}
	}
	return nil
}
