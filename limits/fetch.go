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

// ContextFetcher is a session whose FETCH can be stopped. A backend's session with this method gets
// FetchContext calls instead of Fetch calls, through all wrappers of this module. Your own wrapper
// that changes Fetch should have FetchContext too: if it embeds the backend's session and overrides
// only Fetch, the backend gets Fetch without a context.
//
// The context ends when the client hangs up, after [Options.FetchRunTimeout], and at
// [Limiter.Close]. FetchContext should then return soon, with any error, between two messages. If
// it returns inside a message, the client reads the answer as the rest of that message, and go-imap
// waits forever for the message to be closed. The client reads why, and never that the FETCH is
// complete.
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
		return cmp.Or(err, answer) // the outer Limiter knows whether the client is gone
	}
	if gone || err != nil && s.cutOff(err) {
		// A backend that stops in the middle of a message (imapmemserver does) leaves the server's writer
		// locked. The server would wait forever to write its answer, the session would never be closed,
		// and its slots would never be released. Goexit runs all deferred calls, as a panic would, but
		// logs nothing about a client that is merely gone.
		runtime.Goexit()
	}
	return answer
}

// FetchContext is Fetch for another Limiter around this one. Without it, that Limiter would bypass
// the limits of this one.
func (s *session) FetchContext(
	ctx context.Context, w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	s.presence.outer = ctx
	defer func() { s.presence.outer = nil }()
	return s.Fetch(w, numSet, options)
}

// runFetch returns the answer for the client, and the session's own error. They differ if the FETCH
// was stopped.
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

// cutOff reports whether the session's FETCH failed because the client cannot be written to any
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
	// The error may be about another connection, such as the backend's to its database. Then this
	// client loses its connection for nothing, but can connect again.
	return timedOut || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
