package limits

import (
	"context"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/keep"
)

// ContextSearcher is a session whose SEARCH can be stopped. A backend's session that has this method
// gets the SEARCHes through it instead of Search, through wrappers as with [ContextFetcher]. The
// context ends when every client that would get the answer has hung up, after
// [Options.SearchRunTimeout], and at [Limiter.Close]; SearchContext should then return soon, with any
// error: the client is told why, and never gets a shortened result.
type ContextSearcher interface {
	SearchContext(
		ctx context.Context, kind imapserver.NumKind, criteria *imap.SearchCriteria,
		options *imap.SearchOptions,
	) (*imap.SearchData, error)
}

// Search runs the SEARCH when there is a slot for it, or answers it with what an identical one
// finds.
func (s *session) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	start := s.activity.begin(commandSearch)
	defer s.activity.end()
	if refusal := s.checkTerms(criteria); refusal != nil {
		return nil, refusal
	}
	settings := s.limiter.settings.Load()
	if settings.ShareSearches && !settings.DryRun && kind == imapserver.NumKindUID &&
		s.account.name != "" && s.mailbox.name != "" {
		if key, ok := searchKey(criteria, options); ok {
			return s.sharedSearch(flightKey{s.account, s.mailbox, *options, key}, criteria, options, start)
		}
	}
	return s.searchAlone(kind, criteria, options)
}

func (s *session) searchAlone(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	var slot slot
	defer s.leave(&slot, commandSearch)
	if refusal := s.enter(&slot, &s.limiter.searches, commandSearch); refusal != nil {
		return nil, refusal
	}
	return s.runSearch(kind, criteria, options, nil)
}

// runSearch runs a SEARCH that has a slot, for the group if there is one.
func (s *session) runSearch(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions, g *group,
) (*imap.SearchData, error) {
	settings := s.limiter.settings.Load()
	s.notice.start(&s.client, settings.ProgressInterval)
	defer s.notice.stop()
	if !s.stopsSearch {
		return s.Session.Search(kind, criteria, options)
	}
	var gone func() bool
	if g != nil {
		gone = func() bool { return s.limiter.flights.everybodyGone(g) }
	}
	start, limit := time.Now(), timeLimit{settings.SearchRunTimeout, ErrSearchRunTimeout}
	ctx, end := s.commandContext(limit, gone)
	defer end()
	data, err := keep.Search(ctx, s.Session, kind, criteria, options)
	if stopped := s.stopped(ctx, commandSearch, limit, start); stopped != nil {
		return nil, stopped
	}
	return data, err
}
