package limits

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unique"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
)

// What is said about an account and a mailbox must not be taken for another account and mailbox.
func TestPlacesThatDiffer(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:143")
	inbox := mailbox{name: "INBOX", uidValidity: 1}
	seen, hashes := make(map[unique.Handle[place]]string), make(map[uint64]string)
	for name, s := range map[string]*session{
		"karen":            {account: account{1, "karen", addr, ""}, mailbox: inbox},
		"another backend":  {account: account{2, "karen", addr, ""}, mailbox: inbox},
		"another user":     {account: account{1, "bob", addr, ""}, mailbox: inbox},
		"no address":       {account: account{1, "karen", netip.AddrPort{}, ""}, mailbox: inbox},
		"a TLS name":       {account: account{1, "karen", addr, "a.example"}, mailbox: inbox},
		"another mailbox":  {account: account{1, "karen", addr, ""}, mailbox: mailbox{name: "IN"}},
		"the mailbox anew": {account: account{1, "karen", addr, ""}, mailbox: mailbox{name: "INBOX"}},
		"part of the name": {account: account{1, "karen", addr, "a"}, mailbox: mailbox{name: "b"}},
		"in the mailbox":   {account: account{1, "karen", addr, ""}, mailbox: mailbox{name: "ab"}},
		"a long name": {
			account: account{1, "k192.0.2.1:143", addr, ""}, mailbox: mailbox{name: "x"},
		},
		"a long mailbox": {
			account: account{1, "k", addr, ""}, mailbox: mailbox{name: "192.0.2.1:143x"},
		},
	} {
		place, hash := s.place()
		assert.Empty(t, seen[place], "the same as %s", name)
		assert.Empty(t, hashes[hash], "the same as %s", name)
		again, hashAgain := s.place()
		assert.Equal(t, place, again, "it stays the same")
		assert.Equal(t, hash, hashAgain)
		seen[place], hashes[hash] = name, name
	}
}

// Keys with one hash would run as if no other search were equal to them.
func TestHashesOfDifferentSearchesDiffer(t *testing.T) {
	seen := make(map[uint64]flightKey)
	for _, name := range []string{"INBOX", "Sent"} {
		s := &session{account: account{name: "karen"}, mailbox: mailbox{name: name}}
		for larger := range int64(2) {
			for i := range 16 {
				criteria := &imap.SearchCriteria{Larger: larger}
				key, ok := s.flightKey(imapserver.NumKindUID, criteria, &imap.SearchOptions{
					ReturnMin: i&1 > 0, ReturnMax: i&2 > 0, ReturnAll: i&4 > 0, ReturnCount: i&8 > 0,
				})
				assert.True(t, ok)
				assert.Equal(t, key.Hash(), key.Hash())
				assert.NotContains(t, seen, key.Hash())
				seen[key.Hash()] = key
			}
		}
	}
}

// Every byte of a text counts, and where it ends.
func TestTermsOfDifferentTextsDiffer(t *testing.T) {
	seen := make(map[term]string)
	differ := func(text string) {
		for _, got := range []term{termText.text(text), termHeader.folded(text)} {
			assert.NotContains(t, seen, got, "%q and %q", text, seen[got])
			seen[got] = text
		}
	}
	for n := range 40 {
		text := bytes.Repeat([]byte{'a'}, n)
		differ(string(text))
		for i := range text {
			text[i] = 'b'
			differ(string(text))
			upper := strings.ToUpper(string(text))
			assert.Equal(t, termHeader.folded(string(text)), termHeader.folded(upper))
			text[i] = 'a'
		}
	}
}

// Each of these is a search of its own, also in a NOT and in an OR.
func TestTermsOfDifferentSearchesDiffer(t *testing.T) {
	day := time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)
	uids := func(ranges ...imap.UIDRange) imap.SearchCriteria {
		return imap.SearchCriteria{UID: []imap.UIDSet{ranges}}
	}
	header := func(key, value string) imap.SearchCriteria {
		return imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: key, Value: value}}}
	}
	all := []imap.SearchCriteria{
		{}, uids(imap.UIDRange{Start: 1, Stop: 1}), uids(imap.UIDRange{Start: 1, Stop: 2}),
		uids(imap.UIDRange{Start: 2, Stop: 2}), uids(imap.UIDRange{}), uids(imap.UIDRange{Start: 1}),
		uids(imap.UIDRange{Start: 1, Stop: 1}, imap.UIDRange{Start: 3, Stop: 3}),
		{Since: day}, {Before: day}, {SentSince: day}, {SentBefore: day},
		{Since: day.AddDate(0, 0, 1)}, {Since: day.AddDate(0, 1, 0)}, {Since: day.AddDate(1, 0, 0)},
		header("a", ""), header("b", ""), header("a", "b"), header("a", "B"), header("a b", ""),
		{Body: []string{"a"}}, {Body: []string{"b"}}, {Body: []string{"a", "b"}},
		{Text: []string{"a"}}, {Text: []string{"a", "b"}}, {Text: []string{"b"}},
		{Flag: []imap.Flag{"a"}}, {Flag: []imap.Flag{"b"}}, {Flag: []imap.Flag{"a", "b"}},
		{NotFlag: []imap.Flag{"a"}}, {NotFlag: []imap.Flag{"b"}}, {NotFlag: []imap.Flag{"a", "b"}},
		{Flag: []imap.Flag{"a"}, NotFlag: []imap.Flag{"b"}},
		{Larger: 1}, {Larger: 2}, {Smaller: 1}, {Smaller: 2}, {Larger: 1, Smaller: 2},
	}
	for i := range all[1:7] { // an OR that has more than one term in it is no list
		c := all[1+i]
		c.Or = [][2]imap.SearchCriteria{{{Larger: 7}, {Larger: 8}}}
		all = append(all, c)
	}
	for _, c := range []imap.SearchCriteria{
		{}, // this one is a list
		{Since: day}, {Before: day}, {SentSince: day}, {SentBefore: day}, {Larger: 1}, {Smaller: 1},
	} {
		c.Or = [][2]imap.SearchCriteria{{{Larger: 7}, {Larger: 8}}}
		all = append(all, c)
	}
	plain := all
	for _, c := range plain {
		all = append(all, imap.SearchCriteria{Not: []imap.SearchCriteria{c}})
		all = append(all, imap.SearchCriteria{Or: [][2]imap.SearchCriteria{{{Larger: 9}, c}}})
	}
	seen := make(map[term]imap.SearchCriteria)
	for _, c := range all {
		got, ok := criteriaTerm(&c, maxSharedDepth)
		assert.True(t, ok)
		assert.NotContains(t, seen, got, "%+v and %+v", c, seen[got])
		seen[got] = c
	}
	assert.Len(t, seen, len(all))
}
