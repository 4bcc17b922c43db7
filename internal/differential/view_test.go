package differential_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// view is the selected mailbox as a client knows it from what the server says. It has the UID of
// each message by its sequence number, or 0 if the client does not know the UID.
type view struct {
	selected bool
	uids     []int
}

var (
	numbered    = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE|FETCH)(?: \(UID (\d+))?`)
	opens       = regexp.MustCompile(`^\S+ OK \[READ-(?:WRITE|ONLY)\] (?:SELECT|EXAMINE) completed`)
	closes      = regexp.MustCompile(`^\* OK \[CLOSED\]|^\S+ OK (?:CLOSE|UNSELECT) completed`)
	searchedAll = regexp.MustCompile(
		`^\d< \* (?:SEARCH|ESEARCH \(TAG "\S+"\) UID(?: ALL)?) ?(.*)\r\n$`,
	)
)

// hear takes a response. It returns what is wrong with it, or "".
func (v *view) hear(response string) (wrong string) {
	switch m := numbered.FindStringSubmatch(response); {
	case closes.MatchString(response):
		v.selected, v.uids = false, nil
	case opens.MatchString(response):
		v.selected = true
	case m != nil:
		before := slices.Clone(v.uids)
		n, _ := strconv.Atoi(m[1])
		uid, _ := strconv.Atoi(m[3])
		if !v.number(m[2], n, uid) {
			return fmt.Sprintf("%q, when the messages are %d", response, before)
		}
	}
	return ""
}

// number applies a response with a sequence number. It returns false if it is impossible.
func (v *view) number(kind string, n, uid int) bool {
	switch {
	case kind == "EXISTS" && !v.selected: // one of the answers to SELECT
		v.uids = make([]int, n)
	case kind == "EXISTS":
		if n < len(v.uids) {
			return false
		}
		v.uids = append(v.uids, make([]int, n-len(v.uids))...)
	case n < 1 || n > len(v.uids):
		return false
	case kind == "EXPUNGE":
		v.uids = slices.Delete(v.uids, n-1, n)
	case uid != 0:
		known := v.uids[n-1]
		v.uids[n-1] = uid
		return (known == 0 || known == uid) && v.ascends()
	}
	return true
}

func (v *view) ascends() bool {
	known := slices.DeleteFunc(slices.Clone(v.uids), func(uid int) bool { return uid == 0 })
	return slices.IsSorted(known) && len(slices.Compact(known)) == len(known)
}

// compare takes the answer to UID SEARCH ALL. It returns what is wrong with it, or "".
func (v *view) compare(heard []string) (wrong string) {
	for _, response := range heard {
		m := searchedAll.FindStringSubmatch(response)
		if m != nil && slices.Equal(numbers(m[1]), v.uids) {
			return ""
		}
	}
	return fmt.Sprintf("%q, when the messages are %d", heard, v.uids)
}

// numbers returns the numbers in a list or a set.
func numbers(text string) []int {
	all := []int{}
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ' ' || r == ',' }) {
		from, to, ok := strings.Cut(word, ":")
		first, _ := strconv.Atoi(from)
		last := first
		if ok {
			last, _ = strconv.Atoi(to)
		}
		for n := first; n <= last; n++ {
			all = append(all, n)
		}
	}
	return all
}

// imapmemserver itself makes mistakes, and both sides of a comparison would share them.
func TestAClientNoticesTheMistakesOfImapmemserver(t *testing.T) {
	bare := func(w *world) imaptest.NewSessionFunc { return imaptest.Memory(w.users...) }
	mended := func(w *world) imaptest.NewSessionFunc { return w.memory }
	for _, test := range []struct{ script, response, messages string }{
		{"0 SELECT INBOX\n0 MOVE 1 Sent", `"* 1 FETCH (UID 2)\r\n"`, "[3]"},
		{"0 SELECT INBOX\n0 UID MOVE 2:3 Sent", `"* 0 EXPUNGE\r\n"`, "[1 2 3]"},
		{
			"1 SELECT Sent\n0 SELECT INBOX\n0 COPY 1 Sent\n1 UID FETCH 1 UID",
			`"* 0 FETCH (UID 1)\r\n"`, "[]",
		},
	} {
		ops := conversation([]byte(test.script), false, false)
		_, wrong := held(t, ops, promise{}, true, bare)
		want := test.response + ", when the messages are " + test.messages
		assert.Equal(t, want, strings.Join(wrong[:min(1, len(wrong))], ""), test.script)
		_, wrong = held(t, ops, promise{}, true, mended)
		assert.Empty(t, wrong, test.script)
	}
}

func TestWhatAClientNotices(t *testing.T) {
	begin := []string{
		"* 2 EXISTS\r\n", "a OK [READ-WRITE] SELECT completed\r\n", "* 1 FETCH (UID 5)\r\n",
		"* 2 FETCH (UID 7 FLAGS ())\r\n",
	}
	for _, test := range []struct {
		said []string
		ok   bool
	}{
		{[]string{"* 2 EXISTS\r\n", "* 3 EXISTS\r\n", "* 3 FETCH (FLAGS ())\r\n"}, true},
		{[]string{"* 1 EXISTS\r\n"}, false},
		{[]string{"* 3 FETCH (FLAGS ())\r\n"}, false},
		{[]string{"* 0 FETCH (FLAGS ())\r\n"}, false},
		{[]string{"* 3 EXPUNGE\r\n"}, false},
		{[]string{"* 1 EXPUNGE\r\n", "* 1 EXPUNGE\r\n"}, true},
		{[]string{"* 1 EXPUNGE\r\n", "* 2 EXPUNGE\r\n"}, false},
		{[]string{"* 1 EXPUNGE\r\n", "* 1 FETCH (UID 7)\r\n"}, true},
		{[]string{"* 2 EXPUNGE\r\n", "* 1 FETCH (UID 7)\r\n"}, false},
		{[]string{"* 3 EXISTS\r\n", "* 3 FETCH (UID 6)\r\n"}, false},
		{[]string{"* 3 EXISTS\r\n", "* 3 FETCH (UID 7)\r\n"}, false},
		{[]string{"* OK [CLOSED] x\r\n", "* 1 EXPUNGE\r\n"}, false},
		{[]string{"* OK [CLOSED] x\r\n", "* 1 EXISTS\r\n", "* 1 FETCH (UID 1)\r\n"}, true},
		{[]string{"a OK UNSELECT completed\r\n", "* 1 FETCH (FLAGS ())\r\n"}, false},
	} {
		v, wrong := view{}, ""
		for _, response := range append(slices.Clone(begin), test.said...) {
			wrong += v.hear(response)
		}
		assert.Equal(t, test.ok, wrong == "", "%q: %s", test.said, wrong)
	}
	v := view{uids: []int{2, 3, 4, 8}}
	assert.Empty(t, v.compare([]string{"0< * SEARCH 2 3 4 8\r\n"}))
	assert.Empty(t, v.compare([]string{"0< * ESEARCH (TAG \"all\") UID ALL 2:4,8\r\n"}))
	assert.NotEmpty(t, v.compare([]string{"0< * SEARCH 2 3 8\r\n"}))
	assert.NotEmpty(t, v.compare([]string{"0< all BAD Unknown command\r\n"}))
	assert.Empty(t, (&view{}).compare([]string{"0< * ESEARCH (TAG \"all\") UID\r\n"}))
}
