package copymeta_test

import (
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// newsworthy is a backend that tells of flags that others have changed at the first opportunity: in
// the answer to any FETCH or STORE, or else when it is polled.
type newsworthy struct {
	*backend
	changed map[uint32][]imap.Flag // by sequence number
}

func (n *newsworthy) tell(w *imapserver.FetchWriter) {
	for seqNum, flags := range n.changed {
		m := w.CreateMessage(seqNum)
		m.WriteFlags(flags)
		m.Close()
	}
	clear(n.changed)
}

func (n *newsworthy) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	n.tell(w)
	return n.backend.Fetch(w, numSet, options)
}

func (n *newsworthy) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	n.tell(w)
	return n.backend.Store(w, numSet, flags, options)
}

func (n *newsworthy) Poll(w *imapserver.UpdateWriter, _ bool) error {
	for seqNum, flags := range n.changed {
		w.WriteMessageFlags(seqNum, 0, flags)
	}
	clear(n.changed)
	return nil
}

func (n *newsworthy) Unauthenticate() error { return nil }

// What a backend tells of other messages while they are copied is told to the client too: the
// backend does not say it again.
func TestFlagsThatOthersChangeDuringACopy(t *testing.T) {
	for name, options := range map[string]*copymeta.Options{
		"reset":    {Flags: copymeta.Reset, InternalDate: copymeta.Reset, Move: true},
		"preserve": {Flags: copymeta.Preserve, Move: true},
	} {
		t.Run(name, func(t *testing.T) {
			n := &newsworthy{newBackend(
				stored{content: "one", date: past}, stored{content: "two", date: past},
				stored{content: "three", date: past},
			), make(map[uint32][]imap.Flag)}
			c := open(t, n, options)
			n.changed[3] = []imap.Flag{imap.FlagFlagged}
			assert.Equal(t, []string{
				`* 3 FETCH (FLAGS (\Flagged))`, "a OK [COPYUID 7 1 41] COPY completed",
			}, c.Cmd("a COPY 1 Archive"))
			assert.Equal(t, []string{"a OK NOOP completed"}, c.Cmd("a NOOP"))

			// The number of the message is another one after the EXPUNGE.
			n.changed[3] = nil
			assert.Equal(t, []string{
				"* OK [COPYUID 7 2 42] COPY completed", "* 2 EXPUNGE", "* 2 FETCH (FLAGS ())",
				"a OK MOVE completed",
			}, c.Cmd("a MOVE 2 Archive"))

			// A COPY that fails is not polled.
			n.changed[2] = []imap.Flag{imap.FlagSeen}
			assert.Len(t, c.Cmd("a COPY 1 Nowhere"), 1)
			assert.Equal(
				t, []string{`* 2 FETCH (FLAGS (\Seen))`, "a OK NOOP completed"}, c.Cmd("a NOOP"),
			)
		})
	}
}

// What was told about the message that is moved is over with it, and what was told of a mailbox is
// not told of the next one.
func TestFlagsOfMessagesThatAreGone(t *testing.T) {
	n := &newsworthy{
		newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"}),
		make(map[uint32][]imap.Flag),
	}
	c := imaptest.NewServer(t, &imapserver.Options{
		NewSession: copymeta.Wrap(of(n), resetMove), InsecureAuth: true, Caps: imap.CapSet{
			imap.CapIMAP4rev1: {}, imap.CapMove: {}, imap.CapUnauthenticate: {},
		},
	}).Login("karen", "pass")
	c.Cmd("s SELECT INBOX")
	n.changed[1] = []imap.Flag{imap.FlagFlagged}
	assert.Equal(t, []string{
		"* OK [COPYUID 7 1 41] COPY completed", "* 1 EXPUNGE", "a OK MOVE completed",
	}, c.Cmd("a MOVE 1 Archive"))
	for _, command := range []string{
		"SELECT Archive", "UID EXPUNGE 9", "UNSELECT", "UNAUTHENTICATE",
	} {
		c.Cmd("s SELECT INBOX")
		n.changed[2] = []imap.Flag{imap.FlagFlagged}
		assert.Len(t, c.Cmd("a COPY 1 Nowhere"), 1)
		news := `* 2 FETCH (FLAGS (\Flagged))`
		assert.NotContains(t, c.Cmd("a "+command), news, command)
		if command == "UNAUTHENTICATE" {
			assert.NotContains(t, c.Cmd("a LOGIN bob pass"), news)
		}
		assert.Equal(t, []string{"a OK NOOP completed"}, c.Cmd("a NOOP"), command)
	}
}
