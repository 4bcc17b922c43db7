package keep

import (
	"context"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// A backend whose commands can be stopped is a ContextFetcher or a ContextSearcher; package limits
// documents them. Every wrapper of this module that overrides Fetch or Search has the method with
// the context too, and passes the context on.
type (
	ContextFetcher interface {
		FetchContext(
			ctx context.Context, w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
		) error
	}
	ContextSearcher interface {
		SearchContext(
			ctx context.Context, kind imapserver.NumKind, criteria *imap.SearchCriteria,
			options *imap.SearchOptions,
		) (*imap.SearchData, error)
	}
)

var fetchers, searchers sync.Map // by type: whether the method without a context is the outer one

// AsContextFetcher is [As], but finds no session that overrides Fetch without FetchContext.
func AsContextFetcher(session imapserver.Session) (ContextFetcher, bool) {
	f, ok := As[ContextFetcher](session)
	if !ok || overridden(f, fetch, fetchContext, &fetchers) {
		return nil, false
	}
	return f, true
}

// AsContextSearcher is [As], but finds no session that overrides Search without SearchContext.
func AsContextSearcher(session imapserver.Session) (ContextSearcher, bool) {
	f, ok := As[ContextSearcher](session)
	if !ok || overridden(f, search, searchContext, &searchers) {
		return nil, false
	}
	return f, true
}

// Fetch runs the session's FETCH, with the context if the session takes one.
func Fetch(
	ctx context.Context, session imapserver.Session, w *imapserver.FetchWriter, numSet imap.NumSet,
	options *imap.FetchOptions,
) error {
	if inner, ok := AsContextFetcher(session); ok {
		return inner.FetchContext(ctx, w, numSet, options)
	}
	return session.Fetch(w, numSet, options)
}

// Search runs the session's SEARCH, with the context if the session takes one.
func Search(
	ctx context.Context, session imapserver.Session, kind imapserver.NumKind,
	criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	if inner, ok := AsContextSearcher(session); ok {
		return inner.SearchContext(ctx, kind, criteria, options)
	}
	return session.Search(kind, criteria, options)
}
