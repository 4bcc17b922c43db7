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

func TestContextReachesTheFirstSessionThatTakesOne(t *testing.T) {
	var got, below any
	passive := struct{ imapserver.Session }{imaptest.Stub{}} // a wrapper that overrides neither
	for name, test := range map[string]struct {
		session imapserver.Session
		want    any
	}{
		"the session":            {stoppable{got: &got}, "context"},
		"the backend":            {keep.Optional(passive, stoppable{got: &got}), "context"},
		"a backend far below":    {keep.Optional(passive, keep.Optional(passive, stoppable{got: &got})), "context"},
		"a wrapper":              {keep.Optional(stoppable{got: &got}, stoppable{got: &below}), "context"},
		"a wrapper in between":   {keep.Optional(passive, keep.Optional(stoppable{got: &got}, plain{got: &below})), "context"},
		"nobody":                 {plain{got: &got}, "plain"},
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
