package wire_test

import (
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/wire"
)

// asked is a session that keeps the criteria of its SEARCH.
type asked struct {
	imaptest.Stub
	criteria **imap.SearchCriteria
}

func (a asked) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	*a.criteria = criteria
	return a.Stub.Search(kind, criteria, options)
}

// searchWords are parts of a SEARCH, and text that looks like one. Each byte of the fuzzer chooses
// one.
var searchWords = []string{
	"OR ", "NOT ", "(", ")", " ", "ALL ", "FROM a ", "OR", "NOT", "ALL", "FROM ", "a ",
	"\"b (OR \\\" NOT\" ",
	"{8+}\r\nOR NOT ( ", "{3+} \nabc", "TEXT ", "HEADER x ", "header ", "KEYWORD ", "\\Seen", "\\* ",
	"1:* ",
	"UID ", "$", "$ ", "CHARSET UTF-8 ", "CHARſET \"utf-8\" ", "RETURN (ALL MIN) ", "return ()",
	"SINCE 1-Jan-2020 ",
	"SENTON \"1-Jan-2020\" ", "{abc ", "{5x ", "{6} ",
	"{4097+}\r\n" + strings.Repeat("x", 4090) + " OR NO",
	"{99999999999999999999+}", "{", "}", "]", "\\", "\"", "%", "*", "o", "r ", "LARGER 5 ", "NEW ",
	"ſEEN ", "UNſEEN",
	"\x80", "\xff", "x", "\x00", "not(", "or(", "x]y ", "BODY {0+}\r\n ", "+", "-", "~{3+}\r\nabc",
}

// depthOf returns how deep the criteria are nested, without parentheses.
func depthOf(c *imap.SearchCriteria) int {
	depth := 1
	for i := range c.Not {
		depth = max(depth, 1+depthOf(&c.Not[i]))
	}
	for i := range c.Or {
		depth = max(depth, 1+depthOf(&c.Or[i][0]), depthOfLast(&c.Or[i][1]))
	}
	return depth
}

// depthOfLast is depthOf for the last argument of an OR. Another OR there is no deeper. Without
// parentheses the argument is one term.
func depthOfLast(c *imap.SearchCriteria) int {
	depth := 2
	for i := range c.Not {
		depth = max(depth, 2+depthOf(&c.Not[i]))
	}
	for i := range c.Or {
		depth = max(depth, 1+depthOf(&c.Or[i][0]), depthOfLast(&c.Or[i][1]))
	}
	return depth
}

// FuzzNesting sends a SEARCH to go-imap, and to a guard that refuses what is too deep. Without
// parentheses the guard must find the same depth as go-imap. With them it must find at least as
// much.
func FuzzNesting(f *testing.F) {
	for _, seed := range [][]byte{
		{0, 6, 6}, {0, 0, 6, 6, 6}, {0, 6, 0, 6, 0, 6, 6}, {1, 1, 1, 5}, {0, 1, 5, 1, 5},
		{1, 2, 0, 6, 6, 3},
		{27, 25, 1, 5}, {28, 26, 0, 5, 5}, {10, 13, 1, 1, 5}, {15, 33, 1, 5}, {15, 31, 0, 5, 1, 1, 5},
		{16, 12, 1, 5},
		{15, 34, 1, 1, 1, 5}, {15, 35, 1, 1, 5}, {53, 5, 3, 1, 5}, {10, 32, 1, 5}, {18, 19, 1, 1, 5},
		{22, 24, 1, 1, 5},
	} {
		for most := range byte(4) {
			f.Add(seed, most)
		}
	}
	var criteria *imap.SearchCriteria
	options := quiet(imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return asked{criteria: &criteria}, nil, nil
		},
		InsecureAuth: true,
	})
	most := 0
	bare, limited := imaptest.Listen(), imaptest.Listen()
	start(f, imapserver.New(options), bare)
	start(f, guardedServer(options, wire.Config{Limits: func(net.Conn) wire.Limits {
		return wire.Limits{SearchDepth: most}
	}}), limited)
	f.Fuzz(func(t *testing.T, input []byte, limit byte) {
		if len(input) > 60 {
			return
		}
		var text strings.Builder
		for _, b := range input {
			text.WriteString(searchWords[int(b)%len(searchWords)])
		}
		search := strings.TrimSuffix(text.String(), " ")
		command := "a LOGIN u p\r\nb SELECT x\r\nc SEARCH " + search + "\r\nd NOOP\r\n"
		most = 2 + int(limit)%6
		criteria = nil
		exchange(t, bare, command)
		theirs := criteria
		criteria = nil
		said := exchange(t, limited, command)
		refused := strings.Contains(said, "c NO [LIMIT] Search terms are nested too deep\r\n")
		assert.False(t, refused && criteria != nil, "%q", search)
		if theirs == nil {
			return
		}
		depth := depthOf(theirs)
		if depth > most {
			assert.True(t, refused, "%q is %d deep", search, depth)
		} else if !strings.Contains(search, "(") {
			assert.False(t, refused, "%q is %d deep", search, depth)
			assert.Equal(t, theirs, criteria, "%q", search)
		}
	})
}
