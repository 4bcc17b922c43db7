package limits

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/emersion/go-imap/v2"

	"github.com/imapgate/imapgate/internal/fold"
)

// isRecent reports whether it is the flag (RFC 3501) whose value differs from session to session.
func isRecent(flag imap.Flag) bool {
	const recent = "\\Recent"
	return len(flag) == len(recent) && strings.EqualFold(string(flag), recent)
}

// maxSharedDepth bounds the depth of SEARCHes that are compared.
const maxSharedDepth = 30

// mailbox is a mailbox and its UIDVALIDITY. Within them a UID means the same message (RFC 9051
// section 2.3.1.1).
type mailbox struct {
	name        string
	uidValidity uint32
	place       unique.Handle[place] // of the session's account; zero before it was asked for
	placeHash   uint64
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

// place is where a session searches: an account and a mailbox.
type place struct {
	account     account
	mailbox     string
	uidValidity uint32
}

var placeSeed = maphash.MakeSeed()

// place returns where the session searches, and the hash of that.
func (s *session) place() (_ unique.Handle[place], hash uint64) {
	m := &s.mailbox
	if m.place == (unique.Handle[place]{}) {
		p := place{s.account, m.name, m.uidValidity}
		m.place, m.placeHash = unique.Make(p), maphash.Comparable(placeSeed, p)
	}
	return m.place, m.placeHash
}

// flightKey is what SEARCHes must have in common to get the same answer. The place has the account,
// not the key that the user is counted by, which can stand for several accounts.
type flightKey struct {
	place unique.Handle[place]
	terms term // what to search for, what of it to return, and the hash of the place
}

// Hash returns the same for equal keys, and hardly ever the same for different ones.
func (k flightKey) Hash() uint64 { return uint64(k.terms) }

// A term is the hash of a term of a SEARCH, which is a name and values. The hash has a secret key
// and 64 bits, so that two different terms never have the same one by accident. Somebody who could
// bring that about would confuse the SEARCHes of one account in one mailbox only.
type term uint64

// termKeys are secret.
var termKeys = [2]uint64{rand.Uint64(), rand.Uint64()}

func termOf(name string) term { return term(0).text(name) }

// The terms without their values.
var (
	termAnd, termOr, termNot      = termOf("AND"), termOf("OR"), termOf("NOT")
	termUID, termHeader           = termOf("UID"), termOf("HEADER")
	termBody, termText            = termOf("BODY"), termOf("TEXT")
	termFlag, termNotFlag         = termOf("FLAG"), termOf("NOTFLAG")
	termSince, termBefore         = termOf("SINCE"), termOf("BEFORE")
	termSentSince, termSentBefore = termOf("SENTSINCE"), termOf("SENTBEFORE")
	termLarger, termSmaller       = termOf("LARGER"), termOf("SMALLER")
)

// number adds a number to the term.
func (t term) number(n uint64) term {
	high, low := bits.Mul64(uint64(t)^termKeys[0], n^termKeys[1])
	return term(high ^ low)
}

// text adds a text, with its length before it.
func (t term) text(s string) term {
	t = t.number(uint64(len(s)))
	for ; len(s) > 8; s = s[8:] {
		t = t.number(word(s[:8]))
	}
	return t.number(word(s))
}

// folded is text for a string in which the case of ASCII letters has no meaning.
func (t term) folded(s string) term {
	t = t.number(uint64(len(s)))
	for ; len(s) > 8; s = s[8:] {
		t = t.number(fold.Word(word(s[:8])))
	}
	return t.number(fold.Word(word(s)))
}

// word returns all bytes of a text of at most eight, some of them twice if they are fewer. Two
// texts of the same length have the same word only if they are equal.
func word(s string) uint64 {
	switch n := len(s); {
	case n >= 4:
		return half(s) | half(s[n-4:])<<32
	case n > 0:
		return uint64(s[0]) | uint64(s[n/2])<<8 | uint64(s[n-1])<<16
	default:
		return 0
	}
}

// half returns the first four bytes.
func half(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

// date adds the day, as a SEARCH knows neither a time nor a zone.
func (t term) date(date time.Time) term {
	year, month, day := date.Date()
	return t.number(uint64(year)<<16 | uint64(month)<<8 | uint64(day))
}

// numbers adds the set with its ranges sorted and merged.
func (t term) numbers(set imap.UIDSet) term {
	if len(set) > 1 {
		var sorted imap.UIDSet
		for _, r := range set {
			sorted.AddRange(r.Start, r.Stop)
		}
		set = sorted
	}
	for _, r := range set {
		t = t.number(uint64(r.Start)<<32 | uint64(r.Stop))
	}
	return t
}

// all adds terms whose order and repetition have no meaning.
func (t term) all(terms []term) term {
	if len(terms) > 1 {
		slices.Sort(terms)
	}
	for _, other := range slices.Compact(terms) {
		t = t.number(uint64(other))
	}
	return t
}

// searchTerm returns the same for all UID SEARCHes that look for the same. Order, case and
// repetitions do not matter where they have no meaning. The values to search for stay as they are,
// as a backend may be case-sensitive. ok is false if the answer depends on the session: sequence
// numbers, $, SAVE, RECENT, and MODSEQ.
func searchTerm(criteria *imap.SearchCriteria, options *imap.SearchOptions) (t term, ok bool) {
	if options.ReturnSave {
		return 0, false
	}
	var returned uint64
	for i, option := range [...]bool{
		options.ReturnMin, options.ReturnMax, options.ReturnAll, options.ReturnCount,
	} {
		if option {
			returned |= 1 << i
		}
	}
	t, ok = criteriaTerm(criteria, maxSharedDepth)
	return t.number(returned), ok
}

// criteriaTerm is searchTerm for criteria that are nested at most so deep.
func criteriaTerm(c *imap.SearchCriteria, depth int) (t term, ok bool) {
	if depth == 0 || len(c.SeqNum) > 0 || c.ModSeq != nil ||
		slices.ContainsFunc(c.Flag, isRecent) || slices.ContainsFunc(c.NotFlag, isRecent) {
		return 0, false
	}
	terms := make([]term, 0, 16) // on the stack, if there are no more
	for _, set := range c.UID {
		if imap.IsSearchRes(set) {
			return 0, false
		}
		terms = append(terms, termUID.numbers(set))
	}
	if !c.Since.IsZero() {
		terms = append(terms, termSince.date(c.Since))
	}
	if !c.Before.IsZero() {
		terms = append(terms, termBefore.date(c.Before))
	}
	if !c.SentSince.IsZero() {
		terms = append(terms, termSentSince.date(c.SentSince))
	}
	if !c.SentBefore.IsZero() {
		terms = append(terms, termSentBefore.date(c.SentBefore))
	}
	for i := range c.Header {
		terms = append(terms, termHeader.folded(c.Header[i].Key).text(c.Header[i].Value))
	}
	for _, body := range c.Body {
		terms = append(terms, termBody.text(body))
	}
	for _, text := range c.Text {
		terms = append(terms, termText.text(text))
	}
	for _, flag := range c.Flag {
		terms = append(terms, termFlag.folded(string(flag)))
	}
	for _, flag := range c.NotFlag {
		terms = append(terms, termNotFlag.folded(string(flag)))
	}
	if c.Larger != 0 {
		terms = append(terms, termLarger.number(uint64(c.Larger)))
	}
	if c.Smaller != 0 {
		terms = append(terms, termSmaller.number(uint64(c.Smaller)))
	}
	for i := range c.Not {
		not, ok := criteriaTerm(&c.Not[i], depth-1)
		if !ok {
			return 0, false
		}
		terms = append(terms, termNot.number(uint64(not)))
	}
	for i := range c.Or {
		or, ok := orTerm(&c.Or[i], depth-1)
		if !ok {
			return 0, false
		}
		terms = append(terms, or)
	}
	return termAnd.all(terms), true
}

func orTerm(or *[2]imap.SearchCriteria, depth int) (t term, ok bool) {
	terms := make([]term, 0, 16)
	for alternative := range alternatives(or) {
		t, ok := criteriaTerm(alternative, depth)
		if !ok {
			return 0, false
		}
		terms = append(terms, t)
	}
	return termOr.all(terms), true
}
