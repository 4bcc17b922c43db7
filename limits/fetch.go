package limits

import (
	"context"
	"errors"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/keep"
)

// ContextFetcher is a session whose FETCH can be stopped. A backend's session that has this method
// gets the FETCHes through it instead of Fetch, through all wrappers of this module; one of your
// own in between must have it too. The context ends when the client has hung up, after
// [Options.FetchRunTimeout], and at [Limiter.Close]; FetchContext should then return soon, with any
// error: the client is told why, and never that the FETCH is complete. It must return between two
// messages: the client takes the answer for the rest of one that has begun, and go-imap waits for
// ever for a message that was not closed.
type ContextFetcher interface {
	FetchContext(
		ctx context.Context, w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
	) error
}

// Fetch runs the FETCH when there is a slot for it.
func (s *session) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	s.activity.begin(commandFetch)
	defer s.activity.end()
	var slot slot
	defer s.leave(&slot, commandFetch)
	if refusal := s.enter(&slot, &s.limiter.fetches, commandFetch); refusal != nil {
		return refusal
	}
	s.limiter.stalls.watch(s.limiter)

	answer, err := s.runFetch(w, numSet, options)
	if answer == errClientGone || err != nil && s.lost(err) {
		// A backend that gives up in the middle of a message (imapmemserver does) leaves the
		// server's writer locked, and the server would wait for it for ever with its answer: the
		// session would never be closed, and what it holds never come back. Ending the goroutine
		// runs all that is deferred, as a panic would, but without a word in the log about a client
		// that is just gone.
		runtime.Goexit()
	}
	return answer
}

// runFetch returns the answer for the client, and the session's own error, which is another one if
// the FETCH was stopped.
func (s *session) runFetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) (answer, err error) {
	if !s.stopsFetch {
		err = s.Session.Fetch(w, numSet, options)
		return err, err
	}
	start, limit := time.Now(), timeLimit{s.limiter.settings.Load().FetchRunTimeout, ErrFetchRunTimeout}
	ctx, end := s.commandContext(limit, nil)
	defer end()
	err = keep.Fetch(ctx, s.Session, w, numSet, options)
	if stopped := s.stopped(ctx, commandFetch, limit, start); stopped != nil {
		return stopped, err
	}
	return err, err
}

// lost tells whether the session's FETCH failed because nothing can be written to the client any
// more.
func (s *session) lost(err error) bool {
	if _, closed := s.conn.NetConn().Write(nil); closed != nil { // or its deadline is over
		return true
	}
	if answer := (*imap.Error)(nil); errors.As(err, &answer) {
		return false
	}
	timedOut := errors.Is(err, os.ErrDeadlineExceeded)
	if s.socket.canTell() {
		_, more, ok := s.socket.sent()
		return s.socket.hungUp() || timedOut && (more || !ok)
	}
	// It may be some other connection, of the backend to its database, that the error is about. But
	// then this client can come again.
	return timedOut || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// enter takes a slot of the gate for the command. It must be left in any case.
func (s *session) enter(slot *slot, g *gate, command string) (refusal *imap.Error) {
	*slot, refusal = g.acquire(&s.client)
	switch {
	case refusal != nil:
		if s.refuses(Event{Command: command, User: s.user, Waited: slot.waited}, refusal) ||
			slot.gate == nil {
			return refusal
		}
	case slot.waited > 0:
		s.tell(Event{Kind: EventAdmitted, Command: command, User: s.user, Waited: slot.waited})
	}
	return nil
}

// leave gives the slot back, if there is one.
func (s *session) leave(slot *slot, command string) {
	if wouldBeRefused := slot.release(); wouldBeRefused != nil {
		s.refuses(Event{Command: command, User: s.user, Waited: slot.waited}, wouldBeRefused)
	}
}
