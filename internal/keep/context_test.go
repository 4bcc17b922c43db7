package keep_test

import (
	"context"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/keep"
)

type contextKey struct{}

// stoppable records the value in the context that it gets.
type stoppable struct {
	imaptest.Stub
	got *any
}

func (s stoppable) FetchContext(
	ctx context.Context, _ *imapserver.FetchWriter, _ imap.NumSet, _ *imap.FetchOptions,
) error {
	*s.got = ctx.Value(contextKey{})
	return nil
}

func (s stoppable) SearchContext(
	ctx context.Context, _ imapserver.NumKind, _ *imap.SearchCriteria, _ *imap.SearchOptions,
) (*imap.SearchData, error) {
	*s.got = ctx.Value(contextKey{})
	return nil, nil
}

// plain records that it is called without a context.
type plain struct {
	imaptest.Stub
	got *any
}

func (p plain) Fetch(*imapserver.FetchWriter, imap.NumSet, *imap.FetchOptions) error {
	*p.got = "plain"
	return nil
}

func (p plain) Search(
	imapserver.NumKind, *imap.SearchCriteria, *imap.SearchOptions,
) (*imap.SearchData, error) {
	*p.got = "plain"
	return nil, nil
}

// The wrappers of somebody else, which embed the session that they wrap.
type (
	overrides struct { // both commands, and knows no context
		stoppable
		plain plain
	}
	pointer struct {
		*stoppable
		plain plain
	}
	further struct{ *overrides } // has nothing of its own
	both    struct {             // has everything of its own
		stoppable
		own stoppable
	}
)

func (o overrides) Fetch(w *imapserver.FetchWriter, n imap.NumSet, f *imap.FetchOptions) error {
	return o.plain.Fetch(w, n, f)
}

func (o overrides) Search(
	k imapserver.NumKind, c *imap.SearchCriteria, s *imap.SearchOptions,
) (*imap.SearchData, error) {
	return o.plain.Search(k, c, s)
}

func (p *pointer) Fetch(w *imapserver.FetchWriter, n imap.NumSet, f *imap.FetchOptions) error {
	return p.plain.Fetch(w, n, f)
}

func (p *pointer) Search(
	k imapserver.NumKind, c *imap.SearchCriteria, s *imap.SearchOptions,
) (*imap.SearchData, error) {
	return p.plain.Search(k, c, s)
}

func (b both) Fetch(*imapserver.FetchWriter, imap.NumSet, *imap.FetchOptions) error { return nil }

func (b both) FetchContext(
	ctx context.Context, w *imapserver.FetchWriter, n imap.NumSet, f *imap.FetchOptions,
) error {
	return b.own.FetchContext(ctx, w, n, f)
}

func (b both) Search(
	imapserver.NumKind, *imap.SearchCriteria, *imap.SearchOptions,
) (*imap.SearchData, error) {
	return nil, nil
}

func (b both) SearchContext(
	ctx context.Context, k imapserver.NumKind, c *imap.SearchCriteria, s *imap.SearchOptions,
) (*imap.SearchData, error) {
	return b.own.SearchContext(ctx, k, c, s)
}

func TestContextReachesTheFirstSessionThatTakesOne(t *testing.T) {
	var got, below any
	passive := struct{ imapserver.Session }{imaptest.Stub{}} // a wrapper that overrides neither
	for name, test := range map[string]struct {
		session imapserver.Session
		want    any
	}{
		"the session": {stoppable{got: &got}, "context"},
		"the backend": {keep.Optional(passive, stoppable{got: &got}), "context"},
		"a backend far below": {
			keep.Optional(passive, keep.Optional(passive, stoppable{got: &got})), "context",
		},
		"a wrapper": {
			keep.Optional(stoppable{got: &got}, stoppable{got: &below}), "context",
		},
		"a wrapper in between": {
			keep.Optional(passive, keep.Optional(stoppable{got: &got}, plain{got: &below})), "context",
		},
		"nobody":                 {plain{got: &got}, "plain"},
		"a value that overrides": {overrides{stoppable{got: &below}, plain{got: &got}}, "plain"},
		"its pointer":            {&overrides{stoppable{got: &below}, plain{got: &got}}, "plain"},
		"an embedded pointer":    {&pointer{&stoppable{got: &below}, plain{got: &got}}, "plain"},
		"one further out": {
			further{&overrides{stoppable{got: &below}, plain{got: &got}}}, "plain",
		},
		"one that has both": {both{stoppable{got: &below}, stoppable{got: &got}}, "context"},
		"its pointer, wrapped": {
			keep.Optional(passive, &both{stoppable{got: &below}, stoppable{got: &got}}), "context",
		},
		"nobody below a wrapper": {keep.Optional(plain{got: &got}, plain{got: &below}), "plain"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.WithValue(t.Context(), contextKey{}, "context")
			got, below = nil, nil
			keep.Fetch(ctx, test.session, nil, nil, nil)
			assert.Equal(t, test.want, got)
			got = nil
			keep.Search(ctx, test.session, imapserver.NumKindUID, nil, nil)
			assert.Equal(t, test.want, got)
			assert.Nil(t, below, "what is below a session that answers is not reached around it")
		})
	}
}
