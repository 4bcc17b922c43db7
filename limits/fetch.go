package limits

import (
	"cmp"
	"context"
	"errors"
	"os"
	"runtime"
	"syscall"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/keep"
)

// ContextFetcher is a session whose FETCH can be stopped. A backend's session that has this method
// gets the FETCHes through it instead of Fetch, through all wrappers of this module. A wrapper of
// your own that changes Fetch should have it too: one that embeds the backend's session and
// overrides Fetch alone gets the FETCHes as ever, without a context.
//
// The context ends when the client has hung up, after [Options.FetchRunTimeout], and at
// [Limiter.Close]. FetchContext should then return soon, with any error, and between two messages:
// the client takes the answer for the rest of one that has begun, and go-imap waits for ever for a
// message that was not closed. The client is told why, and never that the FETCH is complete.
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
	defer s.activity.finish()
	var turn turn
	defer s.exit(&turn)
	if err := s.enter(&turn, &s.limiter.fetches); err != nil {
		return err
	}
	s.limiter.stalls.watch(s.limiter)

	answer, err := s.runFetch(w, numSet, options)
	gone := answer == error(errClientGone)
	if gone && s.presence.outer != nil {
		return cmp.Or(err, answer) // the Limiter around this one knows whether the client is gone
	}
	if gone || err != nil && s.cutOff(err) {
		// A backend that gives up in the middle of a message (imapmemserver does) leaves the
		// server's writer locked, and the server would wait for it for ever with its answer: the
		// session would never be closed, and what it holds never come back. Ending the goroutine
		// runs all that is deferred, as a panic would, but without a word in the log about a client
		// that is just gone.
		runtime.Goexit()
	}
	return answer
}

// FetchContext is Fetch for another Limiter around this one, which would go around this one's
// limits without it.
func (s *session) FetchContext(
	ctx context.Context, w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	s.presence.outer = ctx
	defer func() { s.presence.outer = nil }()
	return s.Fetch(w, numSet, options)
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
	run := s.startRun(commandFetch, fetchRunTimeout)
	defer run.close()
	stopWatch := s.watch(run.clientGone)
	defer stopWatch()
	err = keep.Fetch(run.ctx, s.Session, w, numSet, options)
	if stopped := run.stopped(); stopped != nil {
		return stopped, err
	}
	return err, err
}

// cutOff tells whether the session's FETCH failed because nothing can be written to the client any
// more.
func (s *session) cutOff(err error) bool {
	if _, closed := s.conn.NetConn().Write(nil); closed != nil { // or its deadline is over
		return true
	}
	if answer := (*imap.Error)(nil); errors.As(err, &answer) {
		return false
	}
	timedOut := errors.Is(err, os.ErrDeadlineExceeded)
	if s.socket.CanTell() {
		_, more, ok := s.socket.Sent()
		return s.socket.HungUp() || timedOut && (more || !ok)
	}
	// It may be some other connection, of the backend to its database, that the error is about. But
	// then this client can come again.
	return timedOut || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
