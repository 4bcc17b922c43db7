package vfolders_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

// matches is RFC 9051 section 6.3.9 word by word: "*" matches zero or more characters at this
// position, "%" the same but not a hierarchy delimiter, and anything else itself.
func matches(name, pattern []rune, delim rune) bool {
	memory := map[[2]int]bool{}
	var from func(n, p int) bool
	from = func(n, p int) bool {
		if result, ok := memory[[2]int{n, p}]; ok {
			return result
		}
		var result bool
		switch {
		case p == len(pattern):
			result = n == len(name)
		case pattern[p] == '*':
			result = from(n, p+1) || n < len(name) && from(n+1, p)
		case pattern[p] == '%':
			result = from(n, p+1) || n < len(name) && (name[n] != delim || delim == 0) && from(n+1, p)
		default:
			result = n < len(name) && name[n] == pattern[p] && from(n+1, p+1)
		}
		memory[[2]int{n, p}] = result
		return result
	}
	return from(0, 0)
}

// forest is a backend whose LIST is that of matches.
type forest struct{ *backend }

func (f forest) session(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return f, nil, nil
}

func (f forest) List(
	w *imapserver.ListWriter, ref string, patterns []string, _ *imap.ListOptions,
) error {
	for _, m := range f.mailboxes {
		for _, pattern := range patterns {
			if matches([]rune(m.Mailbox), []rune(ref+pattern), m.Delim) {
				if err := w.WriteList(&m.ListData); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// implied returns the virtual folders of the mailboxes.
func implied(mailboxes []mailbox) map[string]bool {
	folders := map[string]bool{}
	for _, m := range mailboxes {
		if m.Delim == 0 {
			continue
		}
		levels := strings.Split(m.Mailbox, string(m.Delim))
		for i := range levels[1:] {
			if levels[i] != "" && i < 20 {
				folders[strings.Join(levels[:i+1], string(m.Delim))] = true
			}
		}
	}
	for _, m := range mailboxes {
		if len(m.Attrs) == 0 {
			delete(folders, m.Mailbox)
		}
	}
	return folders
}

func FuzzList(f *testing.F) {
	f.Add("a/b\na/b/c\nx", "", "%", "a*", uint8(0))
	f.Add("a.b.c\n!a\nb.%c.*d", "a.", "%", "%.%", uint8(1))
	f.Add("//a/\na//b/é/ä", "a/", "/*", "é*", uint8(0))
	f.Add("a\\b\\c d\\\"\n!a\\b", "", "*b%", "*", uint8(2))
	f.Add("a/b\n!a&-/b/&", "", "*a%*b*", "%&%", uint8(3))
	f.Add("#a#b\n!x#y#z", "x#", "%", "*#y", uint8(5))
	f.Add("bab\nabbc", "", "%", "%b%b*", uint8(6))
	f.Fuzz(func(t *testing.T, tree, ref, pattern, second string, kind uint8) {
		for _, s := range []string{strings.ReplaceAll(tree, "\n", ""), ref, pattern, second} {
			if strings.ToValidUTF8(s, "") != s || len(s) > 200 ||
				strings.ContainsFunc(s, unicode.IsControl) {
				t.Skip("no mailbox name")
			}
		}
		checkList(
			t, strings.Split(tree, "\n"), ref, pattern, second,
			[]rune{'/', '.', '\\', 0, '·', '#', 'b'}[kind%7],
		)
	})
}

// randomText returns a text of one character or more.
func randomText(random *rand.Rand, alphabet string, most int) string {
	var b strings.Builder
	for range 1 + random.IntN(most) {
		b.WriteRune([]rune(alphabet)[random.IntN(utf8.RuneCountInString(alphabet))])
	}
	return b.String()
}

func TestListOfRandomTrees(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string, most int) string { return randomText(random, alphabet, most) }
	for range 1000 {
		tree := make([]string, random.IntN(8))
		for i := range tree {
			tree[i] = text("ab///é%", 9)
			if random.IntN(4) == 0 {
				tree[i] = "!" + tree[i]
			}
		}
		ref := ""
		if random.IntN(3) == 0 {
			ref = text("ab/", 3) + "/"
		}
		checkList(t, tree, ref, text("ab/é*%%", 6), text("ab//*%", 6), '/')
	}
}

// checkList lists the names, of which those that begin with "!" cannot be selected, and compares
// what comes with what should.
func checkList(t *testing.T, tree []string, ref, pattern, second string, delim rune) {
	if pattern == "" || second == "" || strings.ContainsAny(ref, "%*") {
		return
	}
	for _, p := range []string{pattern, second} {
		if delim != 0 &&
			(strings.HasPrefix(p, string(delim)) || ref != "" && !strings.HasSuffix(ref, string(delim))) {
			return // the RFC leaves these to the server
		}
	}
	backend := forest{names(delim)}
	for _, name := range tree {
		name, noSelect := strings.CutPrefix(name, "!")
		listed := slices.ContainsFunc(
			backend.mailboxes, func(m mailbox) bool { return m.Mailbox == name },
		)
		switch {
		case name == "" || listed || strings.Contains(strings.ToLower(name), "inbox"):
		case noSelect:
			backend.add(delim, name, imap.MailboxAttrNoSelect)
		default:
			backend.add(delim, name)
		}
	}
	virtual := implied(backend.mailboxes)

	want := map[string]bool{} // whether it is virtual
	var order []string
	shown := func(name string) bool {
		return matches([]rune(name), []rune(ref+pattern), delim) ||
			matches([]rune(name), []rune(ref+second), delim)
	}
	for _, m := range backend.mailboxes {
		if shown(m.Mailbox) {
			want[m.Mailbox] = virtual[m.Mailbox]
			order = append(order, m.Mailbox)
		}
	}
	for name := range virtual {
		if shown(name) {
			want[name] = true
		}
	}

	server := imaptest.NewServer(
		t, &imapserver.Options{NewSession: vfolders.Wrap(backend.session, nil), InsecureAuth: true},
	)
	defer server.Close()
	c := server.Login("bob", "pass")
	answer(t, c, "ENABLE UTF8=ACCEPT")
	got := map[string]bool{}
	var gotOrder []string
	for _, line := range answer(t, c, `LIST `+quote(ref)+` (`+quote(pattern)+` `+quote(second)+`)`) {
		attrs, rest, ok := strings.Cut(strings.TrimPrefix(line, "LIST ("), ") ")
		require.True(t, ok, "%q", line)
		_, name, ok := strings.Cut(rest, ` "`)
		if strings.HasPrefix(rest, "NIL ") {
			name, ok = strings.CutPrefix(rest, `NIL "`)
		}
		require.True(t, ok, "%q", line)
		name = strings.NewReplacer(`\\`, `\`, `\"`, `"`, "&-", "&").Replace(strings.TrimSuffix(name, `"`))
		_, twice := got[name]
		require.False(t, twice, "%q is listed twice", name)
		got[name] = attrs == `\HasChildren`
		if slices.Contains(order, name) {
			gotOrder = append(gotOrder, name)
			continue
		}
		for earlier := range got {
			require.False(
				t, delim != 0 && strings.HasPrefix(earlier, name+string(delim)), "%q after %q", name, earlier,
			)
		}
	}
	require.Equal(
		t, want, got, "tree %q, reference %q, patterns %q and %q", tree, ref, pattern, second,
	)
	require.Equal(t, order, gotOrder)
	for _, m := range backend.mailboxes {
		for _, name := range []string{m.Mailbox, m.Mailbox[:len(m.Mailbox)/2]} {
			if name == "" || strings.ToValidUTF8(name, "") != name {
				continue
			}
			_, err := backend.find(name)
			opened := imaptest.IsOK(c.Cmd("s STATUS " + quote(name) + " (MESSAGES)"))
			require.Equal(t, err == nil || virtual[name], opened, "STATUS of %q in %q", name, tree)
		}
	}
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&-").Replace(s) + `"`
}

// Backends that read patterns as go-imap does find a delimiter at their beginning to mean nothing.
// What LIST shows can be opened nevertheless.
func TestWhatListShowsCanBeOpened(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, delim := range []rune{'/', '#', 'b', '7', 'é', '%'} {
		for range 60 {
			var tree []string
			for range 1 + random.IntN(4) {
				tree = append(tree, randomText(random, "ac"+strings.Repeat(string(delim), 3), 7))
			}
			b := names(delim, tree...)
			options := &vfolders.Options{}
			if random.IntN(2) == 0 {
				options.Prefixes = []string{tree[0][:1], "nothing"}
			}
			if !utf8.ValidString(strings.Join(options.Prefixes, "")) {
				options.Prefixes = nil
			}
			c := connect(t, b.session, options)
			answer(t, c, "ENABLE UTF8=ACCEPT")
			shown := 0
			for _, line := range answer(t, c, `LIST "" *`) {
				if _, name, ok := strings.Cut(line, `(\HasChildren) `); ok {
					_, name, _ = strings.Cut(name, " ")
					answer(t, c, "STATUS "+name+" (MESSAGES)")
					shown++
				}
			}
			if options.Prefixes == nil {
				assert.Len(t, implied(b.mailboxes), shown, "delimiter %c, %q", delim, tree)
			}
		}
	}
}

// All patterns are matched at once, and one after the other.
func TestListOfManyRandomPatterns(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	hits := 0
	for range 60 {
		var tree, patterns []string
		for range 1 + random.IntN(4) {
			tree = append(tree, randomText(random, "aab/", 150))
		}
		for range 1 + random.IntN(40) {
			pattern := blurred(random, tree[random.IntN(len(tree))])
			if pattern != "" && pattern[0] != '/' {
				patterns = append(patterns, pattern)
			}
		}
		c := connect(t, names('/', tree...).session, nil)
		want := []string{}
		for name := range implied(names('/', tree...).mailboxes) {
			for _, pattern := range patterns {
				if matches([]rune(name), []rune(pattern), '/') {
					want = append(want, name)
					break
				}
			}
		}
		if len(patterns) == 0 {
			continue
		}
		got := []string{}
		for _, line := range answer(t, c, "LIST \"\" ("+strings.Join(patterns, " ")+")") {
			if name, ok := strings.CutPrefix(line, `LIST (\HasChildren) "/" "`); ok {
				got = append(got, strings.TrimSuffix(name, `"`))
			}
		}
		assert.ElementsMatch(t, want, got, "%q, %q", tree, patterns)
		hits += len(want)
	}
	assert.Greater(t, hits, 200)
}

// blurred returns a pattern that may match the beginning of the name.
func blurred(random *rand.Rand, name string) string {
	var b strings.Builder
	for _, r := range name[:random.IntN(len(name)+1)] {
		switch random.IntN(30) {
		case 0:
			b.WriteByte('*')
		case 1:
			b.WriteByte('%')
		case 2:
			b.WriteString("%" + string(r))
		case 3:
			b.WriteString("*" + string(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// FuzzPattern compares with what go-imap's own matcher says, on patterns that are short enough for
// it.
func FuzzPattern(f *testing.F) {
	f.Add("a/b", "", "%/%")
	f.Add("#users/Karen", "#users", "K*n")
	f.Add("aXbXc", "", "/*%X*")
	f.Fuzz(func(t *testing.T, name, ref, pattern string) {
		for _, s := range []string{name, ref, pattern} {
			if strings.ToValidUTF8(s, "") != s || len(s) > 12 || strings.ContainsFunc(s, unicode.IsControl) {
				t.Skip()
			}
		}
		if pattern == "" || strings.Trim(name, "/") != name || name == "" ||
			strings.EqualFold(name, "INBOX") ||
			strings.Contains(name, "//") {
			t.Skip()
		}
		c := connect(t, quick{names('/', name+"/child")}.session, nil)
		answer(t, c, "ENABLE UTF8=ACCEPT")
		got := slices.ContainsFunc(
			answer(t, c, "LIST "+quote(ref)+" "+quote(pattern)),
			func(line string) bool {
				return strings.HasSuffix(line, " "+quote(name))
			},
		)
		assert.Equal(t, imapserver.MatchList(name, '/', ref, pattern), got)
	})
}
