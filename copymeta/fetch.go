package copymeta

import (
	"context"
	"io"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/capture"
	"github.com/imapgate/imapgate/internal/keep"
)

// maxRanges is how many ranges a set of UIDs for the backend has. The backend may send the set on
// to another server, whose lines are limited.
const maxRanges = 500

// fetch runs a FETCH of the backend, and stops it when the client is gone. The backend may change
// what it is given.
func (s *session) fetch(
	ctx context.Context, numSet imap.NumSet, options *imap.FetchOptions,
	section func(m *capture.Message, name string, size int64) (io.Writer, error),
	each func(m *capture.Message) error,
) error {
	err := capture.Fetch(func(w *imapserver.FetchWriter) error {
		return keep.Fetch(ctx, s.Session, w, cloneSet(numSet), cloneOptions(options))
	}, section, func(m *capture.Message) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !options.Flags {
			s.note(m) // nobody asked for them
		}
		return each(m)
	})
	if ctx.Err() != nil { // the result may be shortened
		return context.Cause(ctx)
	}
	return err
}

// cloneSet returns a copy of the set, but of "$" itself, which is known by its address.
func cloneSet(numSet imap.NumSet) imap.NumSet {
	switch set := numSet.(type) {
	case imap.SeqSet:
		return slices.Clone(set)
	case imap.UIDSet:
		if !imap.IsSearchRes(set) {
			return slices.Clone(set)
		}
	}
	return numSet
}

func cloneOptions(options *imap.FetchOptions) *imap.FetchOptions {
	clone := *options
	clone.BodySection = nil
	for _, section := range options.BodySection {
		clone.BodySection = append(clone.BodySection, new(*section))
	}
	return &clone
}
