package copymeta_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

func no(code imap.ResponseCode, text string) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}
}

func TestTheBackendAnswersForTheDestination(t *testing.T) {
	c := login(t, karen(3), reset)
	for _, command := range []string{
		"COPY 1 ", "COPY 1:* ", "UID COPY 2:3 ", "COPY 99 ", "UID COPY $ ",
	} {
		assert.Equal(t, []string{"a NO [TRYCREATE] No such mailbox"}, c.Cmd("a "+command+"Nowhere"))
	}
	c = login(t, karen(3), resetMove)
	for _, command := range []string{"MOVE 1 ", "MOVE 1:* ", "UID MOVE 2:3 ", "MOVE 99 "} {
		assert.Equal(t, []string{"a NO [TRYCREATE] No such mailbox"}, c.Cmd("a "+command+"Nowhere"))
	}
}

// A mailbox may be closed to those who ask for its STATUS, but not to those who append; and only
// the backend knows whether one that does not exist could be created.
func TestWhatSTATUSSaysProvesNothing(t *testing.T) {
	const copied = "OK [COPYUID 7 1:3 41:43] COPY completed"
	one := []string{"FETCH 1:*", "FETCH 1 whole", "APPEND"}
	all := append(slices.Clone(one), "FETCH 2:3 whole", "APPEND", "APPEND")
	noPerm := no(imap.ResponseCodeNoPerm, "Not yours")
	missing := no(imap.ResponseCodeNonExistent, "No such mailbox")
	never := no(imap.ResponseCodeNonExistent, "Never")
	cannot := no(imap.ResponseCodeCannot, "Only folders")
	for name, test := range map[string]struct {
		status, append error
		want           string
		calls          []string
	}{
		"no STATUS":         {noPerm, nil, copied, all},
		"hidden":            {missing, nil, copied, all},
		"STATUS fails":      {errors.New("broken"), nil, copied, all},
		"cannot be created": {missing, never, "NO [NONEXISTENT] Never", one},
		"can be created":    {missing, noSuchMailbox, "NO [TRYCREATE] Backend has no such mailbox", one},
		"read-only":         {noPerm, no("READ-ONLY", "Read only"), "NO [READ-ONLY] Read only", one},
		"virtual":           {cannot, cannot, "NO [CANNOT] Only folders", one},
		"virtual with STATUS": {
			nil, cannot, "NO [CANNOT] Only folders",
			[]string{"FETCH 1:*", "FETCH 1:3 whole", "APPEND"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"})
			b.status, b.appendError = test.status, test.append
			c := open(t, b, reset)
			assert.Equal(t, test.want, imaptest.Last(c.Cmd("a COPY 1:* Archive")))
			assert.Equal(t, test.calls, b.calls)
			if test.append == nil {
				assert.Equal(t, []string{"one", "two", "three"}, contents(b.mailboxes["Archive"]))
			} else {
				assert.Empty(t, b.mailboxes["Archive"].messages)
			}
		})
	}
}

// The first message is copied before the others are read, if there is doubt about the destination.
// What fails then is told with how many there are.
func TestAFailureAfterTheFirstOfADoubtfulDestination(t *testing.T) {
	for _, undo := range []bool{false, true} {
		b := newBackend(
			stored{content: "one"}, stored{content: "two", size: 9}, stored{content: "three"},
		)
		b.status = errQuota
		var session imapserver.Session = b
		want := "NO [SERVERBUG] 1 of 3 messages were copied: Message with UID 2 cannot be read " +
			"completely (3 bytes instead of 9)"
		if undo {
			session = &withUndo{backend: b}
			want = "NO [SERVERBUG] Message with UID 2 cannot be read completely " +
				"(3 bytes instead of 9), nothing was copied"
		}
		c := open(t, session, reset)
		assert.Equal(t, want, imaptest.Last(c.Cmd("a COPY 1:* Archive")))
		assert.Equal(t, !undo, len(b.mailboxes["Archive"].messages) == 1)
	}
}

// expanding is a backend that takes sets apart, which takes for ever and all memory for one with
// 4294967295 in it, and that notifies the destination of each COPY.
type expanding struct {
	*backend
	t        *testing.T
	notified int
}

func (e *expanding) expand(set imap.NumSet) {
	assert.NotContains(e.t, set.String(), "4294967295")
	assert.NotEmpty(e.t, set.String())
	if uids, ok := set.(imap.UIDSet); ok {
		_, ok = uids.Nums()
		assert.True(e.t, ok)
	}
}

func (e *expanding) Fetch(
	w *imapserver.FetchWriter, set imap.NumSet, options *imap.FetchOptions,
) error {
	e.expand(set)
	return e.backend.Fetch(w, set, options)
}

func (e *expanding) Store(
	w *imapserver.FetchWriter, set imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	e.expand(set)
	return e.backend.Store(w, set, flags, options)
}

func (e *expanding) Copy(set imap.NumSet, dest string) (*imap.CopyData, error) {
	e.expand(set)
	e.notified++
	return e.backend.Copy(set, dest)
}

func TestABackendThatTakesSetsApart(t *testing.T) {
	for _, options := range []*copymeta.Options{
		resetMove, {InternalDate: copymeta.Preserve, Flags: copymeta.Preserve, Move: true},
	} {
		b := newBackend(stored{content: "one", date: past}, stored{content: "two", date: past})
		e := &expanding{backend: b, t: t}
		c := open(t, e, options)
		assert.True(t, imaptest.IsOK(c.Cmd("a UID COPY 1:2 Archive")))
		assert.True(t, imaptest.IsOK(c.Cmd("b UID MOVE 1 Archive")))
		assert.Contains(t, imaptest.Last(c.Cmd("c UID COPY 2 Nowhere")), "NO [TRYCREATE]")
		assert.Zero(t, e.notified)
	}
}

// A destination that becomes a virtual folder halfway must not hide what was copied: package
// vfolders answers for itself where the backend has no such mailbox.
func TestADestinationThatBecomesVirtualHalfway(t *testing.T) {
	for _, command := range []string{"COPY", "MOVE"} {
		for name, gone := range map[string]error{
			"TRYCREATE":   noSuchMailbox,
			"NONEXISTENT": no(imap.ResponseCodeNonExistent, "Backend has no such mailbox"),
			"CANNOT":      no(imap.ResponseCodeCannot, "Backend has no such mailbox"),
			"NOPERM":      no(imap.ResponseCodeNoPerm, "Backend has no such mailbox"),
			"no code":     no("", "Backend has no such mailbox"),
		} {
			t.Run(command+" "+name, func(t *testing.T) {
				b := newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"})
				b.mailboxes["Archive/2026"] = &mailbox{}
				b.appends, b.appendError = 2, gone
				newSession := vfolders.Wrap(copymeta.Wrap(of(b), resetMove), nil)
				c := imaptest.Serve(t, newSession).Login("karen", "pass")
				c.Cmd("s SELECT INBOX")
				b.afterAppends = func() { delete(b.mailboxes, "Archive") }
				done := map[string]string{
					"COPY": "2 of 3 messages were copied",
					"MOVE": "2 messages were copied, but none was moved",
				}[command]
				assert.Equal(
					t, "NO [SERVERBUG] "+done+": Backend has no such mailbox",
					imaptest.Last(c.Cmd("a "+command+" 1:* Archive")),
				)
				// From the beginning it is the other package's answer.
				assert.Equal(
					t, "NO [CANNOT] This folder only holds other folders",
					imaptest.Last(c.Cmd("b "+command+" 1 Archive")),
				)
			})
		}
	}
}

// Nothing that a client sends may come back in the text of an answer.
func TestTheNameOfTheDestinationIsNotRepeated(t *testing.T) {
	b := newBackend(stored{content: "one"})
	c := open(t, b, resetMove)
	for _, command := range []string{"COPY", "MOVE"} {
		answer := strings.Join(c.Cmd("a "+command+` 1 "x] OK y"`), "\n")
		assert.NotContains(t, answer, "x] OK y")
	}
}
