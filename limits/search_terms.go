package limits

import (
	"iter"

	"github.com/emersion/go-imap/v2"
)

// alternatives yields the alternatives of an OR: OR a OR b c has three. An OR that is the last
// argument of an OR continues the list, and is not nested.
func alternatives(or *[2]imap.SearchCriteria) iter.Seq[*imap.SearchCriteria] {
	return func(yield func(*imap.SearchCriteria) bool) {
		for {
			if !yield(&or[0]) {
				return
			}
			if !isOr(&or[1]) {
				yield(&or[1])
				return
			}
			or = &or[1].Or[0]
		}
	}
}

// isOr reports whether the criteria are one OR and nothing else.
func isOr(c *imap.SearchCriteria) bool {
	if len(c.Or) != 1 {
		return false
	}
	terms := len(c.SeqNum) + len(c.UID) + len(c.Header) + len(c.Body) + len(c.Text) + len(c.Flag) +
		len(c.NotFlag) + len(c.Not)
	return terms == 0 && c.Since.IsZero() && c.Before.IsZero() && c.SentSince.IsZero() &&
		c.SentBefore.IsZero() && c.Larger == 0 && c.Smaller == 0 && c.ModSeq == nil
}

// countTerms returns how many terms the criteria have, and how deep they are nested. Criteria
// without NOT and OR have the depth 1. A list of alternatives, such as OR a OR b OR c d, has the
// depth 2.
func countTerms(c *imap.SearchCriteria) (terms, depth int) {
	terms = len(c.SeqNum) + len(c.UID) + len(c.Header) + len(c.Body) + len(c.Text) + len(c.Flag) +
		len(c.NotFlag)
	for _, isSet := range [...]bool{
		!c.Since.IsZero(), !c.Before.IsZero(), !c.SentSince.IsZero(), !c.SentBefore.IsZero(),
		c.Larger != 0, c.Smaller != 0, c.ModSeq != nil,
	} {
		if isSet {
			terms++
		}
	}
	nested := func(inner *imap.SearchCriteria) {
		t, d := countTerms(inner)
		terms += t
		depth = max(depth, d)
	}
	for i := range c.Not {
		terms++
		nested(&c.Not[i])
	}
	for i := range c.Or {
		for alternative := range alternatives(&c.Or[i]) {
			nested(alternative)
		}
	}
	return terms, depth + 1
}
