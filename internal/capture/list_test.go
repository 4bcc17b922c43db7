package capture_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/capture"
)

var allStatus = &imap.StatusOptions{
	NumMessages: true, NumRecent: true, UIDNext: true, UIDValidity: true, NumUnseen: true,
	NumDeleted: true, Size: true,
	AppendLimit: true, DeletedStorage: true,
}

func fullStatus(mailbox string) *imap.StatusData {
	return &imap.StatusData{
		Mailbox: mailbox, NumMessages: new(uint32(1)), NumRecent: new(uint32(2)), UIDNext: 3,
		UIDValidity: 1<<32 - 1, NumUnseen: new(uint32(5)),
		NumDeleted: new(
			uint32(6),
		), Size: new(int64(1 << 40)), AppendLimit: new(uint32(8)), DeletedStorage: new(int64(9)),
	}
}

// list returns what comes out for a session that writes data.
func list(options *imap.ListOptions, data ...*imap.ListData) (got []*imap.ListData, err error) {
	err = capture.List(options, func(w *imapserver.ListWriter) error {
		for _, mailbox := range data {
			if err := w.WriteList(mailbox); err != nil {
				return err
			}
		}
		return nil
	}, func(mailbox *imap.ListData) error {
		got = append(got, mailbox)
		return nil
	})
	return got, err
}

func TestListBringsBackWhatWasWritten(t *testing.T) {
	noLimit := fullStatus("a")
	noLimit.AppendLimit = nil
	sent := []*imap.ListData{
		{Mailbox: "INBOX", Delim: '/', Status: fullStatus("INBOX")},
		{
			Mailbox: "a",
			Delim:   '/',
			Attrs:   []imap.MailboxAttr{imap.MailboxAttrHasChildren, `\unknown`, `\noSELECT`},
			Status:  noLimit,
		},
		{Mailbox: "without status or delimiter"},
		{Mailbox: `backslash as a delimiter\b`, Delim: '\\'},
		{Mailbox: `quote as a delimiter"b`, Delim: '"'},
		{Mailbox: "non-ASCII delimiter·b", Delim: '·'},
		{Mailbox: "child", Delim: '.', ChildInfo: &imap.ListDataChildInfo{}},
		{
			Mailbox:   "child",
			Delim:     '.',
			ChildInfo: &imap.ListDataChildInfo{Subscribed: true},
			OldName:   `old "name" \ & é`,
		},
	}
	got, err := list(&imap.ListOptions{ReturnStatus: allStatus}, sent...)
	require.NoError(t, err)
	assert.Equal(t, sent, got)
}

func TestListBringsBackOnlyTheStatusThatWasAskedFor(t *testing.T) {
	got, err := list(&imap.ListOptions{}, &imap.ListData{Mailbox: "a", Status: fullStatus("a")})
	require.NoError(t, err)
	assert.Nil(t, got[0].Status)

	got, err = list(
		&imap.ListOptions{ReturnStatus: &imap.StatusOptions{UIDNext: true}},
		&imap.ListData{Mailbox: "a", Status: fullStatus("a")},
	)
	require.NoError(t, err)
	assert.Equal(t, &imap.StatusData{Mailbox: "a", UIDNext: 3}, got[0].Status)
}

func TestListKeepsEveryName(t *testing.T) {
	names := []string{
		"", " ", "a b", `"`, `\`, `\"`, "&", "&-", "&AOk-", "&&--", "é", "日本語", "😀", "%", "*", "(", ")",
		"{5}", "a{5}", "{5}\r\nhello",
		"a\r\nb", "\x00", "\n", "]", "NIL", "~", strings.Repeat("long", 5000),
		"* LIST () NIL x\r\n* LIST () NIL y",
	}
	for _, name := range names {
		got, err := list(&imap.ListOptions{}, &imap.ListData{Mailbox: name, Delim: '/', OldName: name})
		require.NoError(t, err, "%q", name)
		assert.Equal(t, []*imap.ListData{{Mailbox: name, Delim: '/', OldName: name}}, got)
	}
	for _, name := range []string{"inbox", "Inbox", "INBOX"} { // a client reads no other name either
		got, err := list(&imap.ListOptions{}, &imap.ListData{Mailbox: name})
		require.NoError(t, err)
		assert.Equal(t, "INBOX", got[0].Mailbox)
	}
}

func FuzzListKeepsEveryName(f *testing.F) {
	f.Add("a", "b", '/', true)
	f.Add("{3}\r\nabc", "&-é\"\\", '"', false)
	f.Fuzz(func(t *testing.T, name, old string, delim rune, subscribed bool) {
		valid := strings.ToValidUTF8(name, "") == name && strings.ToValidUTF8(old, "") == old &&
			string(delim) != "\uFFFD"
		if !valid || strings.EqualFold(name, "INBOX") || strings.EqualFold(old, "INBOX") ||
			strings.ContainsRune("\r\n", delim) {
			t.Skip("a server changes these")
		}
		want := &imap.ListData{
			Mailbox:   name,
			Delim:     delim,
			OldName:   old,
			ChildInfo: &imap.ListDataChildInfo{Subscribed: subscribed},
		}
		got, err := list(&imap.ListOptions{}, want, want)
		require.NoError(t, err)
		assert.Equal(t, []*imap.ListData{want, want}, got)
	})
}

func TestListReturnsTheErrorsOfBothSides(t *testing.T) {
	ours, theirs := errors.New("ours"), errors.New("theirs")
	write := func(w *imapserver.ListWriter) error { return w.WriteList(&imap.ListData{Mailbox: "a"}) }
	nothing := func(*imap.ListData) error { return nil }
	fail := func(*imap.ListData) error { return ours }

	assert.Same(
		t, theirs,
		capture.List(&imap.ListOptions{}, func(*imapserver.ListWriter) error { return theirs }, nothing),
	)
	assert.Same(
		t, ours, capture.List(&imap.ListOptions{}, write, fail),
		"known only when the session has returned",
	)
	err := capture.List(&imap.ListOptions{}, func(w *imapserver.ListWriter) error {
		require.NoError(t, write(w), "not handed over yet")
		require.Same(t, ours, write(w))
		require.Same(t, ours, write(w), "and it stays so")
		return nil
	}, fail)
	assert.Same(t, ours, err, "although the session ignored it")
}

func TestListLetsAPanicThroughOnTheSameGoroutine(t *testing.T) {
	assert.PanicsWithValue(t, "backend", func() {
		capture.List(&imap.ListOptions{}, func(*imapserver.ListWriter) error { panic("backend") }, nil)
	})
	_, err := list(&imap.ListOptions{}, &imap.ListData{Mailbox: "a"})
	assert.NoError(t, err)
}

func TestListOfASessionThatIgnoresAnErrorFails(t *testing.T) {
	got := 0
	err := capture.List(&imap.ListOptions{}, func(w *imapserver.ListWriter) error {
		assert.NoError(t, w.WriteList(&imap.ListData{Mailbox: "a"}))
		assert.Error(
			t, w.WriteList(&imap.ListData{Mailbox: "b", Attrs: []imap.MailboxAttr{"not an attribute"}}),
		)
		return nil
	}, func(*imap.ListData) error { got++; return nil })
	assert.ErrorContains(t, err, "unfinished")
	assert.Equal(t, 1, got)
}

func TestListLeavesNothingRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails when a goroutine is left
		var kept *imapserver.ListWriter
		for range 3 {
			err := capture.List(
				&imap.ListOptions{}, func(w *imapserver.ListWriter) error { kept = w; return nil }, nil,
			)
			require.NoError(t, err)
		}
		assert.NoError(t, kept.WriteList(&imap.ListData{Mailbox: "too late, and nobody's"}))
	})
}

func TestListOfManyMailboxesAtOnce(t *testing.T) {
	for worker := range 4 {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			sent := make([]*imap.ListData, 10_000)
			for i := range sent {
				sent[i] = &imap.ListData{Mailbox: fmt.Sprint(worker, "/", i), Delim: '/'}
			}
			got, err := list(&imap.ListOptions{}, sent...)
			require.NoError(t, err)
			assert.Equal(t, sent, got)
		})
	}
}
