package limits_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// listing is a backend session that remembers the patterns that it was asked for, and how often it
// was asked for the delimiter. It does not return the delimiter if that is "".
type listing struct {
	backendSession
	mu        sync.Mutex
	patterns  []string
	delimiter string
	asked     int
}

func (s *listing) List(
	w *imapserver.ListWriter, _ string, patterns []string, _ *imap.ListOptions,
) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(patterns) > 0 {
		s.patterns = append(s.patterns, strings.Join(patterns, " "))
		return nil
	}
	s.asked++
	for _, delimiter := range s.delimiter {
		return w.WriteList(&imap.ListData{Delim: delimiter})
	}
	return nil
}

func serveListing(t *testing.T, session *listing) *server {
	session.backend = &backend{}
	newSession := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return session, nil, nil
	}
	return serveSessions(t, session.backend, newSession, limits.DefaultOptions())
}

func TestMaxListWildcards(t *testing.T) {
	for _, test := range []struct{ list, reaches string }{
		{`LIST "" *`, "*"},
		{`LIST "" %`, "%"},
		{`LIST "" %/%`, "%/%"},
		{`LIST "" %.%`, ""},
		{`LIST "" (a/%.% b)`, ""},
		{`LIST "" %.*`, "%.*"},
		{`LIST "" %.a`, "%.a"},
		{`LIST "" *invoices*`, "*invoices*"},
		{`LIST "" %invoices*`, "%invoices*"},
		{`LIST "" ***%%**a%%%b`, ""},
		{`LIST "" ***%%**aa%%%*`, "*aa*"},
		{`LSUB "" a**`, "a*"},
		{
			`LIST "" (INBOX INBOX/% Work Work/%/% "#users/%" Sent/* a)`,
			"INBOX INBOX/% Work Work/%/% #users/% Sent/* a",
		},
		{`LIST "" (*%** a%% b)`, "* a% b"},
		{`LIST "" (a% b% c% d% e% f%)`, "a% b% c% d% e% f%"},
		{`LIST "" (a% b% c% d% e% f% g%)`, ""},
		{`LIST "" *a*b`, ""},
		{`LIST "" *a%`, ""},
		{`LIST "" %a%`, ""},
		{`LIST "" *a/%`, ""},
		{`LIST "" %/%/%`, ""},
		{`LIST "" (INBOX *a*a)`, ""},
		{`LSUB "" *a*a*a*a*a*a*b`, ""},
		{
			`LIST "" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%b"`,
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%b",
		},
		{`LIST "" (` + strings.Repeat("a", 1001) + " " + strings.Repeat("b", 1000) + `)`, ""},
		{`LIST "" "%aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"`, ""},
		{`LIST "" INBOX`, "INBOX"},
	} {
		t.Run(test.list, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				session := &listing{delimiter: "/"}
				c, _ := serveListing(t, session).login("192.0.2.1", "karen")
				answer := imaptest.Last(c.Cmd("x " + test.list))
				if test.reaches == "" {
					assert.Equal(t, noWildcards, answer)
					assert.Empty(t, session.patterns)
					return
				}
				assert.Contains(t, answer, "OK")
				assert.Equal(t, []string{test.reaches}, session.patterns)
			})
		})
	}
}

const noWildcards = "NO [LIMIT] Too many wildcards in a mailbox pattern"

// A % before a character that is not the delimiter can stop at any position of the name.
func TestTheDelimiterIsAskedOnceWherePatternsDependOnIt(t *testing.T) {
	for delimiter, refused := range map[string]string{
		"/": "%.%", ".": "%/%", "\x00": "%/% %.%", "^": "%/% %.%", "": "",
	} {
		t.Run(delimiter, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				session := &listing{delimiter: delimiter}
				c, _ := serveListing(t, session).login("192.0.2.1", "karen")
				c.Cmd(`x LIST "" *`)
				c.Cmd(`x LIST "" (Work/% Work.% %/* *)`)
				assert.Zero(t, session.asked)
				for _, pattern := range []string{"%/%", "%.%"} {
					answer := imaptest.Last(c.Cmd(`x LIST "" ` + pattern))
					if strings.Contains(refused, pattern) {
						assert.Equal(t, noWildcards, answer, pattern)
					} else {
						assert.Contains(t, answer, "OK", pattern)
					}
				}
				assert.Equal(t, 1, session.asked)
				assert.Len(t, session.patterns, 4-len(strings.Fields(refused)))
			})
		})
	}
}

func TestMaxSearchTermsAndDepth(t *testing.T) {
	const tooMany = "NO [LIMIT] Too many search terms"
	const tooDeep = "NO [LIMIT] Search terms are nested too deep"
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		options := limits.DefaultOptions()
		options.MaxSearchesPerUser = 0
		s := serve(t, b, options)
		c := s.selected("karen")
		for _, test := range []struct{ criteria, answer string }{
			{strings.Repeat("SEEN ", 1999) + "SEEN", "OK"},
			{strings.Repeat("SEEN ", 2000) + "SEEN", tooMany},
			{strings.Repeat("TEXT a ", 999) + "NOT (" + strings.Repeat("BODY b ", 999) + "BODY b)", "OK"},
			{
				strings.Repeat("TEXT a ", 1000) + "NOT (" + strings.Repeat("BODY b ", 999) + "BODY b)", tooMany,
			},
			{strings.Repeat("NOT ", 29) + "SEEN", "OK"},
			{strings.Repeat("NOT ", 30) + "SEEN", tooDeep},
			{strings.Repeat("OR ", 29) + "SEEN" + strings.Repeat(" SEEN", 29), "OK"},
			{strings.Repeat("OR ", 30) + "SEEN" + strings.Repeat(" SEEN", 30), tooDeep},
			// An OR as the last argument makes a list longer, not deeper; with any other argument it is
			// nested.
			{strings.Repeat("OR FROM karen@example.com ", 1000) + "FROM bob@example.com", "OK"},
			{strings.Repeat("OR (SEEN OR SEEN ", 14) + "SEEN" + strings.Repeat(" SEEN) SEEN", 14), "OK"},
			{strings.Repeat("OR SEEN (SEEN ", 29) + "SEEN" + strings.Repeat(")", 29), "OK"},
			{strings.Repeat("OR SEEN (SEEN ", 30) + "SEEN" + strings.Repeat(")", 30), tooDeep},
			{
				strings.Repeat("(", 10) + "SEEN" + strings.Repeat(")", 10), "OK",
			}, // parentheses alone cost nothing
			{"1:* UID 1:* SINCE 1-Jan-2026 LARGER 1 KEYWORD a HEADER b c", "OK"},
		} {
			for _, search := range []string{"x SEARCH ", "x UID SEARCH "} {
				assert.Contains(t, imaptest.Last(c.Cmd(search+test.criteria)), test.answer)
			}
		}
		assert.EqualValues(t, 18, b.searches.Load())
		refused := s.limiter.Stats().Refused
		assert.EqualValues(t, 4, refused.SearchTerms)
		assert.EqualValues(t, 6, refused.SearchDepth)
	})
}

func TestMaxAppendSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{MaxAppendSize: 1000})
		c, _ := s.login("192.0.2.1", "karen")
		c.Send("x APPEND INBOX {1000+}", strings.Repeat("a", 1000))
		assert.True(t, imaptest.IsOK(c.Answer("x")))
		// No part of a refused message runs as a command.
		c.Send("x APPEND INBOX {1001+}", strings.Repeat("y LOGOUT\r\n", 100)+"z", "n NOOP")
		assert.Equal(t, "x NO [TOOBIG] The message is too large", c.Line())
		assert.Equal(t, "n OK NOOP completed", c.Line())
	})
}

func TestMaxSearchDepthNeedsNoOtherLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, &backend{}, &limits.Options{MaxSearchDepth: 1}).selected("karen")
		assert.Contains(t, imaptest.Last(c.Cmd("x SEARCH SEEN UNSEEN")), "OK")
		assert.Equal(
			t, "NO [LIMIT] Search terms are nested too deep", imaptest.Last(c.Cmd("y SEARCH NOT SEEN")),
		)
	})
}

func TestWhoIsExemptMayAppendWhatIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(
			t, &backend{},
			&limits.Options{MaxAppendSize: 1, Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}},
		)
		for address, want := range map[string]string{
			"192.0.2.1": "OK", "192.0.2.2": "NO [TOOBIG] The message is too large",
		} {
			c, _ := s.login(address, "karen")
			assert.Contains(t, imaptest.Last(c.Cmd("x APPEND INBOX {3+}\r\nabc")), want)
		}
	})
}

func TestMaxListPatterns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, limits.DefaultOptions())
		c, _ := s.login("192.0.2.1", "karen")
		list := func(patterns int) string {
			return imaptest.Last(
				c.Cmd(`x LIST "" (` + strings.TrimSpace(strings.Repeat("a ", patterns)) + ")"),
			)
		}
		assert.Contains(t, list(8), "OK")
		assert.Equal(t, "NO [LIMIT] Too many mailbox patterns", list(9))
		assert.EqualValues(t, 1, s.limiter.Stats().Refused.ListPatterns)
		s.limiter.SetOptions(&limits.Options{})
		assert.Contains(t, list(5000), "OK")
	})
}

func TestMaxMailboxName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tooLong = "NO [LIMIT] The mailbox name is too long"
		options := limits.DefaultOptions()
		options.Exempt = []netip.Prefix{netip.MustParsePrefix("192.0.2.2/32")}
		s := serve(t, &backend{}, options)
		c, _ := s.login("192.0.2.1", "karen")
		exempt, _ := s.login("192.0.2.2", "karen")
		for _, test := range []struct {
			bytes int
			want  string
		}{{1000, "OK"}, {1001, tooLong}, {4096, tooLong}} {
			name := strings.Repeat("a", test.bytes)
			for _, command := range []string{"x CREATE " + name, "x RENAME a " + name} {
				assert.Contains(t, imaptest.Last(c.Cmd(command)), test.want)
				assert.True(t, imaptest.IsOK(exempt.Cmd(command)))
			}
			assert.True(t, imaptest.IsOK(c.Cmd("x RENAME "+name+" b")), "it can be made shorter")
			assert.True(t, imaptest.IsOK(c.Cmd("x DELETE "+name)), "and be deleted")
		}
		assert.EqualValues(t, 4, s.limiter.Stats().Refused.MailboxName)
	})
}
