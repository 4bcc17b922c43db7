package copymeta_test

import (
	"bytes"
	"log"
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

var resetMove = &copymeta.Options{InternalDate: copymeta.Reset, Flags: copymeta.Reset, Move: true}

func TestMoveIsLeftToTheBackend(t *testing.T) {
	keepArchive := func(_, dest string) (date, flags copymeta.Policy) {
		if dest == "Archive" {
			return copymeta.Keep, copymeta.Keep
		}
		return copymeta.Reset, 9
	}
	for _, options := range []*copymeta.Options{
		reset, {PolicyFor: keepArchive}, {PolicyFor: keepArchive, Move: true},
	} {
		b := newBackend(stored{content: "x"})
		c := open(t, b, options)
		c.Cmd("a MOVE 1 Archive")
		assert.Equal(t, []string{"MOVE"}, b.calls)
		want := "OK MOVE completed" // PolicyFor, which has a mistake, is not asked
		if options.Move {
			want = "NO [SERVERBUG] Internal server error"
		}
		assert.Equal(t, want, imaptest.Last(c.Cmd("a MOVE 1 Other")))
	}
}

func TestMoveObeys(t *testing.T) {
	user := karen(4)
	c := login(t, user, resetMove)
	assert.Equal(t, []string{
		"* OK [COPYUID 2 1,3 1:2] COPY completed", "* 3 EXPUNGE", "* 1 EXPUNGE", "a OK MOVE completed",
	}, c.Cmd("a MOVE 1,3 Archive"))
	assert.Equal(
		t, []string{"* OK [COPYUID 2 4 3] COPY completed", "* 2 EXPUNGE", "b OK UID MOVE completed"},
		c.Cmd("b UID MOVE 4 Archive"),
	)
	assert.Equal(t, []string{"c OK MOVE completed"}, c.Cmd("c MOVE 7 Archive"))
	assert.Equal(t, []string{"d NO [TRYCREATE] No such mailbox"}, c.Cmd("d MOVE 1 Nowhere"))
	moved := archive(c)
	assert.Len(t, moved, 3)
	for _, line := range moved {
		assert.Contains(t, line, "FLAGS ()")
		assert.NotContains(t, line, "1994")
	}
	assert.Equal(t, []string{"* SEARCH 1", "e OK SEARCH completed"}, c.Cmd("e SEARCH NOT DELETED"))
}

func TestMoveExpungesOnlyWhatWasCopied(t *testing.T) {
	b := newBackend(
		stored{content: "one"}, stored{content: "two", flags: []imap.Flag{imap.FlagDeleted}},
		stored{content: "three"},
	)
	c := open(t, b, resetMove)
	assert.Equal(t, []string{
		"* OK [COPYUID 7 1,3 41:42] COPY completed", "* 1 EXPUNGE", "* 2 EXPUNGE", "a OK MOVE completed",
	}, c.Cmd("a MOVE 1,3 Archive"))
	assert.Equal(
		t, []string{
			"FETCH 1,3", `STORE 1 -[\Deleted]`, "FETCH 1,3 whole", "APPEND", "APPEND", "FETCH 1,3",
			`STORE 1,3 +[\Deleted]`, "EXPUNGE 1,3",
		}, b.calls,
	)
	assert.Equal(t, []string{"two"}, contents(b.mailboxes["INBOX"]))
}

func TestMoveOutOfAReadOnlyMailbox(t *testing.T) {
	b := newBackend(stored{content: "x"})
	c := open(t, b, resetMove)
	c.Cmd("a EXAMINE INBOX")
	assert.Equal(t, []string{"b NO The mailbox is read-only"}, c.Cmd("b MOVE 1 Archive"))
	c.Cmd("c SELECT INBOX")
	b.store = func(imap.UIDSet, *imap.StoreFlags) error {
		return &imap.Error{
			Type: imap.StatusResponseTypeNo,
			Code: imap.ResponseCodeNoPerm,
			Text: "Not yours",
		}
	}
	assert.Equal(t, []string{"d NO [NOPERM] Not yours"}, c.Cmd("d MOVE 1 Archive"))
	assert.Equal(t, []string{"FETCH 1", `STORE 1 -[\Deleted]`}, b.calls)
	assert.Empty(t, b.mailboxes["Archive"].messages)
}

func TestAMoveThatFails(t *testing.T) {
	storeFails := func(op imap.StoreFlagsOp) func(uids imap.UIDSet, flags *imap.StoreFlags) error {
		stores := 0
		return func(_ imap.UIDSet, flags *imap.StoreFlags) error {
			// The first one is to see whether messages can be deleted.
			if stores++; stores > 1 && flags.Op == op {
				return errInternal
			}
			return nil
		}
	}
	for _, test := range []struct {
		name    string
		prepare func(b *backend)
		undo    bool
		want    []string
		inbox   []string
		archive []string
		log     string
	}{
		{
			"append", func(b *backend) { b.appends, b.appendError = 2, errQuota }, false,
			[]string{
				"* OK [COPYUID 7 1:2 41:42] COPY completed", "* 1 EXPUNGE", "* 1 EXPUNGE",
				"a NO [OVERQUOTA] 2 of 3 messages were moved: Backend is full",
			},
			[]string{"three"}, []string{"one", "two"}, "",
		},
		{
			"append without UIDs",
			func(b *backend) { b.appends, b.appendError, b.noUIDs = 2, errQuota, true }, false,
			[]string{
				"* 1 EXPUNGE", "* 1 EXPUNGE",
				"a NO [OVERQUOTA] 2 of 3 messages were moved: Backend is full",
			},
			[]string{"three"}, []string{"one", "two"}, "",
		},
		{
			"append with undo", func(b *backend) { b.appends, b.appendError = 2, errQuota }, true,
			[]string{"a NO [OVERQUOTA] Backend is full"}, []string{"one", "two", "three"}, nil, "",
		},
		{
			"store", func(b *backend) { b.store = storeFails(imap.StoreFlagsAdd) }, false,
			[]string{"a NO [SERVERBUG] 3 messages were copied, but none was moved"},
			[]string{"one", "two", "three"}, []string{"one", "two", "three"},
			`copymeta: 3 messages were copied, but none was moved: "disk\r\non fire"` + "\n",
		},
		{
			"store with undo", func(b *backend) { b.store = storeFails(imap.StoreFlagsAdd) }, true,
			[]string{"a NO [SERVERBUG] Internal server error"}, []string{"one", "two", "three"}, nil, "",
		},
		{
			"expunge", func(b *backend) { b.expunge = errQuota }, true,
			[]string{
				"* OK [COPYUID 7 1:3 41:43] COPY completed",
				"a NO [OVERQUOTA] 3 messages were copied, but perhaps not all were moved: Backend is full",
			},
			[]string{"one", "two", "three"}, []string{"one", "two", "three"}, "",
		},
		{
			"expunge and restore",
			func(b *backend) { b.expunge, b.store = errQuota, storeFails(imap.StoreFlagsDel) }, true,
			[]string{
				"* OK [COPYUID 7 1:3 41:43] COPY completed",
				"a NO [OVERQUOTA] 3 messages were copied, but perhaps not all were moved: Backend is full",
			},
			[]string{"one", "two", "three"}, []string{"one", "two", "three"},
			`copymeta: remove \Deleted after a failed move: "disk\r\non fire"` + "\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBackend(
				stored{content: "one"}, stored{content: "two", flags: []imap.Flag{imap.FlagDeleted}},
				stored{content: "three"},
			)
			test.prepare(b)
			var session imapserver.Session = b
			if test.undo {
				session = &withUndo{backend: b}
			}
			var logged bytes.Buffer
			options := *resetMove
			options.Logger = log.New(&logged, "", 0)
			c := open(t, session, &options)
			assert.Equal(t, test.want, c.Cmd("a MOVE 1:* Archive"))
			assert.Equal(t, test.inbox, contents(b.mailboxes["INBOX"]))
			assert.Equal(t, test.archive, contents(b.mailboxes["Archive"]))
			assert.Equal(t, test.log, logged.String())
			if test.log == "" && len(test.inbox) == 3 {
				assert.Empty(t, b.selected.messages[0].flags)
				assert.Equal(t, []imap.Flag{imap.FlagDeleted}, b.selected.messages[1].flags)
			}
		})
	}
}

func TestMoveWithACopier(t *testing.T) {
	b := &withCopier{
		backend: newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"}),
	}
	c := open(t, b, resetMove)
	assert.Equal(t, []string{"a OK MOVE completed"}, c.Cmd("a MOVE 9 Archive"))

	b.err = noSuchMailbox
	assert.Equal(
		t, []string{"a NO [TRYCREATE] Backend has no such mailbox"}, c.Cmd("a MOVE 1 Nowhere"),
	)

	b.err, b.calls = nil, nil
	threeAndOne := imap.UIDSet{{Start: 3, Stop: 3}, {Start: 1, Stop: 1}} // 2 is gone
	b.data = &imap.CopyData{UIDValidity: 5, SourceUIDs: threeAndOne, DestUIDs: imap.UIDSetNum(8, 9)}
	assert.Equal(t, []string{
		"* OK [COPYUID 5 3,1 8:9] COPY completed", "* 1 EXPUNGE", "* 2 EXPUNGE", "b OK MOVE completed",
	}, c.Cmd("b MOVE 1:* Archive"))
	assert.Equal(
		t,
		[]string{
			"FETCH 1:*", `STORE 1 -[\Deleted]`, "COPYMETA imap.UIDSet 1:3 Archive reset reset",
			"FETCH 1,3", `STORE 1,3 +[\Deleted]`, "EXPUNGE 1,3",
		},
		b.calls,
	)

	b.data = nil // it does not know UIDs
	assert.Equal(t, []string{"* 1 EXPUNGE", "c OK MOVE completed"}, c.Cmd("c MOVE 1 Archive"))

	b.fetch = func(w *imapserver.FetchWriter) error { return w.CreateMessage(1).Close() }
	assert.Contains(t, imaptest.Last(c.Cmd("d MOVE 1 Archive")), "NO [SERVERBUG] Message with UID 0 ")
}

// A session whose backend has no MOVE must not get one.
func TestNoMoveWithoutTheBackends(t *testing.T) {
	session, _, err := copymeta.Wrap(of(imaptest.Stub{}), resetMove)(nil)
	assert.NoError(t, err)
	assert.NotImplements(t, (*imapserver.SessionMove)(nil), session)
}

// Another client's EXPUNGE comes between a STORE that fails halfway and its repair: the copy is all
// there is of that message.
func TestAMoveThatFailsKeepsTheOnlyCopy(t *testing.T) {
	b := newBackend(stored{content: "one"}, stored{content: "two"})
	b.store = func(uids imap.UIDSet, flags *imap.StoreFlags) error {
		if flags.Op == imap.StoreFlagsAdd && uids.Contains(1) {
			inbox := b.mailboxes["INBOX"]
			inbox.messages = slices.DeleteFunc(inbox.messages, func(m *stored) bool { return m.uid == 1 })
			return errInternal
		}
		return nil
	}
	c := open(t, &withUndo{backend: b}, resetMove)
	assert.Equal(
		t, []string{"a NO [SERVERBUG] 2 messages were copied, but none was moved"},
		c.Cmd("a MOVE 1:* Archive"),
	)
	assert.Equal(t, []string{"two"}, contents(b.mailboxes["INBOX"]))
	assert.Equal(t, []string{"one", "two"}, contents(b.mailboxes["Archive"]))
}

// Another client takes \Deleted off between STORE and EXPUNGE: the MOVE must not say that it is
// complete.
func TestAMoveWhoseSourceStays(t *testing.T) {
	b := newBackend(stored{content: "one"})
	c := open(t, &keepsAll{withUndo: &withUndo{backend: b}}, resetMove)
	answer := c.Cmd("a MOVE 1:* Archive")
	assert.Equal(
		t,
		"a NO [INUSE] 1 messages were copied, but not all were moved: another client has kept the rest",
		answer[len(answer)-1],
	)
	assert.Equal(t, []string{"one"}, contents(b.mailboxes["INBOX"]))
	assert.Equal(t, []string{"one"}, contents(b.mailboxes["Archive"]))
}

// keepsAll is a backend another client of which takes \Deleted off all messages before each
// EXPUNGE.
type keepsAll struct{ *withUndo }

func (k *keepsAll) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	for _, m := range k.mailboxes["INBOX"].messages {
		m.flags = nil
	}
	return k.withUndo.Expunge(w, uids)
}

// The EXPUNGE may also tell of messages that others have expunged. Those do not count.
func TestAMoveWhoseSourceStaysAndAnotherMessageGoes(t *testing.T) {
	b := newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"})
	c := open(t, &keepsOthers{keepsAll{&withUndo{backend: b}}}, resetMove)
	assert.Equal(t, []string{
		"* OK [COPYUID 7 1 41] COPY completed", "* 3 EXPUNGE",
		"a NO [INUSE] 1 messages were copied, but not all were moved: " +
			"another client has kept the rest",
	}, c.Cmd("a MOVE 1 Archive"))
	assert.Equal(t, []string{"one", "two"}, contents(b.mailboxes["INBOX"]))
}

// keepsOthers is keepsAll, but another client has expunged the last message.
type keepsOthers struct{ keepsAll }

func (k *keepsOthers) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	inbox := k.mailboxes["INBOX"]
	if err := w.WriteExpunge(uint32(len(inbox.messages))); err != nil {
		return err
	}
	inbox.messages = inbox.messages[:len(inbox.messages)-1]
	return k.keepsAll.Expunge(w, uids)
}

// Of three messages two are copied, of which one is expunged by somebody else meanwhile.
func TestAMoveInPartCountsWhatIsLeft(t *testing.T) {
	b := newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"})
	b.appends, b.appendError = 2, errQuota
	b.afterAppends = func() { b.selected.messages = b.selected.messages[1:] }
	c := open(t, &undoesLater{withUndo: withUndo{backend: b}}, resetMove)
	assert.Equal(
		t, "NO [OVERQUOTA] 1 of 2 messages were moved: Backend is full",
		imaptest.Last(c.Cmd("a MOVE 1:3 Archive")),
	)
	assert.Equal(t, []string{"three"}, contents(b.mailboxes["INBOX"]))
	assert.Equal(t, []string{"two"}, contents(b.mailboxes["Archive"]))
}

// undoesLater is a backend whose first Undo fails.
type undoesLater struct {
	withUndo
	called bool
}

func (u *undoesLater) Undo(name string, uidValidity uint32, uids imap.UIDSet) error {
	if !u.called {
		u.called = true
		return errInternal
	}
	return u.withUndo.Undo(name, uidValidity, uids)
}
