package limits

import (
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/imapgate/imapgate/internal/fold"
)

// recent is the flag of RFC 3501 that each session sees for itself.
const recent = imap.Flag("\\Recent")

// maxSharedDepth bounds what it costs to compare SEARCHes: each level writes anew what is below it.
const maxSharedDepth = 30

// mailbox is the state of a mailbox in which a UID means the same message (RFC 9051 section
// 2.3.1.1).
type mailbox struct {
	name        string
	uidValidity uint32
}

// flightKey is what SEARCHes must have in common to get the same answer. The account is not the key
// that the user is counted by, which can stand for several accounts.
type flightKey struct {
	account account
	mailbox mailbox
	options imap.SearchOptions
	search  string
}

// account is whose mail a session reads: a name, to the letter, at one of the wrapped backends,
// which may choose the store by where the client came in. The name is that of LOGIN, or the one
// that Options.Username gives; what a client claims in a SASL exchange proves too little.
type account struct {
	backend    uint64
	name       string
	localAddr  netip.AddrPort
	serverName string // of TLS
}

// searchKey returns a string that is the same for all UID SEARCHes that look for the same, however
// they were written: in whatever order and case of what has no order or case, with whatever
// repetitions. ok is false for those whose answer depends on the session that asks: sequence
// numbers, $, SAVE, RECENT, and MODSEQ. The values to look for stay as they are: a backend may tell
// case apart.
func searchKey(criteria *imap.SearchCriteria, options *imap.SearchOptions) (key string, ok bool) {
	if _, depth := countTerms(criteria); options.ReturnSave || depth > maxSharedDepth {
		return "", false
	}
	return criteriaKey(criteria)
}

// criteriaKey writes each term, its values with their lengths, so that it cannot be read as
// another, and all terms in order.
func criteriaKey(c *imap.SearchCriteria) (string, bool) {
	if len(c.SeqNum) > 0 || c.ModSeq != nil {
		return "", false
	}
	terms := make([]string, 0, 8) // on the stack, if there are no more
	add := func(name string, values ...string) {
		for _, value := range values {
			name += " " + strconv.Itoa(len(value)) + ":" + value
		}
		terms = append(terms, name)
	}
	for _, set := range c.UID {
		if imap.IsSearchRes(set) {
			return "", false
		}
		add("UID", ordered(set))
	}
	for _, date := range []struct {
		name string
		time time.Time
	}{
		{"SINCE", c.Since}, {"BEFORE", c.Before},
		{"SENTSINCE", c.SentSince}, {"SENTBEFORE", c.SentBefore},
	} {
		if !date.time.IsZero() {
			add(date.name, date.time.Format(time.DateOnly))
		}
	}
	for _, header := range c.Header {
		add("HEADER", fold.ASCII(header.Key), header.Value)
	}
	for _, body := range c.Body {
		add("BODY", body)
	}
	for _, text := range c.Text {
		add("TEXT", text)
	}
	for _, flags := range []struct {
		name string
		list []imap.Flag
	}{{"FLAG", c.Flag}, {"NOTFLAG", c.NotFlag}} {
		for _, flag := range flags.list {
			if strings.EqualFold(string(flag), string(recent)) {
				return "", false
			}
			add(flags.name, fold.ASCII(string(flag)))
		}
	}
	if c.Larger != 0 {
		add("LARGER", strconv.FormatInt(c.Larger, 10))
	}
	if c.Smaller != 0 {
		add("SMALLER", strconv.FormatInt(c.Smaller, 10))
	}
	for i := range c.Not {
		not, ok := criteriaKey(&c.Not[i])
		if !ok {
			return "", false
		}
		add("NOT", not)
	}
	for i := range c.Or {
		var keys []string
		for alternative := range alternatives(&c.Or[i]) {
			key, ok := criteriaKey(alternative)
			if !ok {
				return "", false
			}
			keys = append(keys, key)
		}
		slices.Sort(keys)
		add("OR", strings.Join(lengths(slices.Compact(keys)), ""))
	}
	slices.Sort(terms)
	return strings.Join(slices.Compact(terms), ","), true
}

// lengths writes each key with its length.
func lengths(keys []string) []string {
	for i, key := range keys {
		keys[i] = strconv.Itoa(len(key)) + ":" + key
	}
	return keys
}

// alternatives yields what an OR is about: OR a OR b c has three. A chain in the last argument is a
// list, and not nested.
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

// isOr tells whether the criteria are one OR and nothing else.
func isOr(c *imap.SearchCriteria) bool {
	if len(c.Or) != 1 {
		return false
	}
	terms := len(c.SeqNum) + len(c.UID) + len(c.Header) + len(c.Body) + len(c.Text) + len(c.Flag) +
		len(c.NotFlag) + len(c.Not)
	return terms == 0 && c.Since.IsZero() && c.Before.IsZero() && c.SentSince.IsZero() &&
		c.SentBefore.IsZero() && c.Larger == 0 && c.Smaller == 0 && c.ModSeq == nil
}

// ordered returns the set with its ranges in order and joined.
func ordered(set imap.UIDSet) string {
	var sorted imap.UIDSet
	for _, r := range set {
		sorted.AddRange(r.Start, r.Stop)
	}
	return sorted.String()
}

// countTerms returns how many terms the criteria have, and how deep they are nested. Criteria
// without NOT and OR have the depth 1, and a list of alternatives, OR a OR b OR c d, has the depth
// 2.
func countTerms(c *imap.SearchCriteria) (terms, depth int) {
	terms = len(c.SeqNum) + len(c.UID) + len(c.Header) + len(c.Body) + len(c.Text) + len(c.Flag) +
		len(c.NotFlag)
	for _, date := range []time.Time{c.Since, c.Before, c.SentSince, c.SentBefore} {
		if !date.IsZero() {
			terms++
		}
	}
	for _, size := range []int64{c.Larger, c.Smaller} {
		if size != 0 {
			terms++
		}
	}
	if c.ModSeq != nil {
		terms++
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
