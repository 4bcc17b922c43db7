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

// recent is a flag (RFC 3501) whose value differs from session to session.
const recent = imap.Flag("\\Recent")

// maxSharedDepth bounds the cost of comparing SEARCHes: each level copies all levels below it.
const maxSharedDepth = 30

// mailbox is a mailbox and its UIDVALIDITY. Within them a UID means the same message (RFC 9051
// section 2.3.1.1).
type mailbox struct {
	name        string
	uidValidity uint32
}

// flightKey is what SEARCHes must have in common to get the same answer. It has the account, not
// the key that the user is counted by, which can stand for several accounts.
type flightKey struct {
	account account
	mailbox mailbox
	options imap.SearchOptions
	search  string
}

// account says whose mail a session reads: an exact name at one of the wrapped backends. A backend
// may choose the mail store by the address or the TLS name of the server. The name comes from LOGIN
// or Options.Username; what a client claims in a SASL exchange proves too little.
type account struct {
	backend    uint64
	name       string
	localAddr  netip.AddrPort
	serverName string // of TLS
}

// searchKey returns a string that is the same for all UID SEARCHes that look for the same. Order,
// case and repetitions do not matter where they have no meaning. The values to search for stay as
// they are, as a backend may be case-sensitive. ok is false if the answer depends on the session:
// sequence numbers, $, SAVE, RECENT, and MODSEQ.
func searchKey(criteria *imap.SearchCriteria, options *imap.SearchOptions) (key string, ok bool) {
	if _, depth := countTerms(criteria); options.ReturnSave || depth > maxSharedDepth {
		return "", false
	}
	return criteriaKey(criteria)
}

// criteriaKey returns the terms in sorted order. Each value has its length before it, so that no
// term can be mistaken for another.
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

// lengths puts its length before each key.
func lengths(keys []string) []string {
	for i, key := range keys {
		keys[i] = strconv.Itoa(len(key)) + ":" + key
	}
	return keys
}

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

// ordered returns the set with its ranges sorted and merged.
func ordered(set imap.UIDSet) string {
	var sorted imap.UIDSet
	for _, r := range set {
		sorted.AddRange(r.Start, r.Stop)
	}
	return sorted.String()
}

// countTerms returns how many terms the criteria have, and how deep they are nested. Criteria
// without NOT and OR have the depth 1. A list of alternatives, such as OR a OR b OR c d, has the
// depth 2.
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
