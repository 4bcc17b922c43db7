package limits

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/assert"
)

// spelled is searchTerm in words, for comparison: the terms in sorted order, and quoted values.
func spelled(c *imap.SearchCriteria) string {
	var terms []string
	add := func(format string, values ...any) {
		terms = append(terms, fmt.Sprintf(format, values...))
	}
	for _, set := range c.UID {
		var sorted imap.UIDSet
		for _, r := range set {
			sorted.AddRange(r.Start, r.Stop)
		}
		add("UID %v", sorted)
	}
	for i, date := range []time.Time{c.Since, c.Before, c.SentSince, c.SentBefore} {
		if !date.IsZero() {
			add("DATE %d %s", i, date.Format(time.DateOnly))
		}
	}
	for _, header := range c.Header {
		add("HEADER %q %q", strings.ToLower(header.Key), header.Value)
	}
	for _, body := range c.Body {
		add("BODY %q", body)
	}
	for _, text := range c.Text {
		add("TEXT %q", text)
	}
	for _, flag := range c.Flag {
		add("FLAG %q", strings.ToLower(string(flag)))
	}
	for _, flag := range c.NotFlag {
		add("NOTFLAG %q", strings.ToLower(string(flag)))
	}
	if c.Larger != 0 {
		add("LARGER %d", c.Larger)
	}
	if c.Smaller != 0 {
		add("SMALLER %d", c.Smaller)
	}
	for i := range c.Not {
		add("NOT (%s)", spelled(&c.Not[i]))
	}
	for i := range c.Or {
		var all []string
		for alternative := range alternatives(&c.Or[i]) {
			all = append(all, "("+spelled(alternative)+")")
		}
		slices.Sort(all)
		add("OR (%s)", strings.Join(slices.Compact(all), " "))
	}
	slices.Sort(terms)
	return strings.Join(slices.Compact(terms), " ")
}

// someCriteria returns criteria of few words, so that equal ones are frequent.
func someCriteria(random *rand.Rand, depth int) imap.SearchCriteria {
	var c imap.SearchCriteria
	text := func() string {
		return []string{"", "a", "A", "ab", "from karen", "from karen\x00", "from karens"}[random.IntN(7)]
	}
	date := func() time.Time {
		zone := time.FixedZone("", random.IntN(3)*3600)
		return time.Date(2026, 11, 27+random.IntN(2), random.IntN(24), 0, 0, 0, zone)
	}
	for range 1 + random.IntN(2) {
		switch random.IntN(16) {
		case 0:
			set := imap.UIDSet{{Start: 1, Stop: imap.UID(1 + random.IntN(2))}}
			if random.IntN(2) == 0 {
				set = append(set, imap.UIDRange{Start: 2, Stop: imap.UID(2 * random.IntN(2))})
			}
			c.UID = append(c.UID, set)
		case 1:
			c.Since = date()
		case 2:
			c.Before = date()
		case 3:
			c.SentSince = date()
		case 4:
			c.SentBefore = date()
		case 5:
			c.Header = append(c.Header, imap.SearchCriteriaHeaderField{Key: text(), Value: text()})
		case 6:
			c.Body = append(c.Body, text())
		case 7:
			c.Text = append(c.Text, text())
		case 8:
			c.Flag = append(c.Flag, imap.Flag(text()))
		case 9:
			c.NotFlag = append(c.NotFlag, imap.Flag(text()))
		case 10:
			c.Larger = int64(random.IntN(3))
		case 11:
			c.Smaller = int64(random.IntN(3))
		case 12, 13:
			if depth > 0 {
				c.Not = append(c.Not, someCriteria(random, depth-1))
			}
		default:
			if depth > 0 {
				c.Or = append(c.Or, [2]imap.SearchCriteria{
					someCriteria(random, depth-1), someCriteria(random, depth-1),
				})
			}
		}
	}
	return c
}

// Two SEARCHes have the same term when they are the same in words, and only then.
func TestTheTermOfASearch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	terms, words := make(map[string]term), make(map[term]string)
	equal := 0
	for range 20_000 {
		c := someCriteria(random, 3)
		got, ok := searchTerm(&c, &imap.SearchOptions{})
		inWords := spelled(&c)
		assert.True(t, ok, inWords)
		if before, seen := terms[inWords]; seen {
			assert.Equal(t, before, got, inWords)
			equal++
		}
		if before, seen := words[got]; seen {
			assert.Equal(t, before, inWords)
		}
		terms[inWords], words[got] = got, inWords
	}
	assert.Greater(t, equal, 1000)
	assert.Greater(t, len(terms), 5000)
}
