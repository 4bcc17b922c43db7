package copymeta_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/copymeta"
)

// newsworthy is a backend that tells of flags that others have changed at the first opportunity: in
// the answer to any FETCH or STORE, or else when it is polled.
type newsworthy struct {
	*backend
	changed map[uint32][]imap.Flag // by sequence number
	uids    bool                   // it tells them too
}

func (n *newsworthy) tell(w *imapserver.FetchWriter) {
	for seqNum, flags := range n.changed {
		m := w.CreateMessage(seqNum)
		if n.uids {
			m.WriteUID(n.selected.messages[seqNum-1].uid)
		}
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
			), make(map[uint32][]imap.Flag), false}
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

			// The server does not poll after a COPY that fails.
			n.changed[2] = []imap.Flag{imap.FlagSeen, "custom"}
			assert.Equal(t, []string{
				`* 2 FETCH (FLAGS (\Seen custom))`, "a NO [TRYCREATE] Backend has no such mailbox",
			}, c.Cmd("a COPY 1 Nowhere"))
			assert.Equal(t, []string{"a OK NOOP completed"}, c.Cmd("a NOOP"))
		})
	}
}

// What was told about the message that is moved is over with it.
func TestFlagsOfMessagesThatAreGone(t *testing.T) {
	n := &newsworthy{
		newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"}),
		make(map[uint32][]imap.Flag), false,
	}
	c := open(t, n, resetMove)
	n.changed[1] = []imap.Flag{imap.FlagFlagged}
	assert.Equal(t, []string{
		"* OK [COPYUID 7 1 41] COPY completed", "* 1 EXPUNGE", "a OK MOVE completed",
	}, c.Cmd("a MOVE 1 Archive"))
}

// What a COPY that fails has heard is older than all that the next command says, and so the client
// must not read it after that.
func TestFlagsThatChangeAgainAfterACopyThatFails(t *testing.T) {
	n := &newsworthy{
		newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"}),
		make(map[uint32][]imap.Flag), false,
	}
	c := open(t, n, resetMove)
	for name, next := range map[string]string{
		"FETCH": "FETCH 1 FLAGS", "STORE": `STORE 1 +FLAGS.SILENT (\Seen)`,
	} {
		n.changed[2] = []imap.Flag{imap.FlagSeen}
		got := c.Cmd("a COPY 1 Nowhere")
		n.changed[2] = []imap.Flag{imap.FlagAnswered}
		got = append(got, c.Cmd("a "+next)...)
		got = slices.DeleteFunc(got, func(line string) bool { return line[:3] != "* 2" })
		assert.Equal(t, []string{
			`* 2 FETCH (FLAGS (\Seen))`, `* 2 FETCH (FLAGS (\Answered))`,
		}, got, name)
	}
}

// keeper is a backend at which another client keeps a message that is about to be expunged, and
// changes the flags of the message behind it.
type keeper struct{ *newsworthy }

func (k keeper) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	kept := k.selected.messages[1]
	kept.flags = nil
	err := k.newsworthy.Expunge(w, uids)
	k.changed[2] = []imap.Flag{imap.FlagFlagged}
	return err
}

// A MOVE that looks again after it has expunged hears of messages by their new numbers.
func TestFlagsThatChangeAfterTheExpungeOfAMove(t *testing.T) {
	k := keeper{&newsworthy{
		newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"}),
		make(map[uint32][]imap.Flag), true,
	}}
	c := open(t, k, resetMove)
	got := append(c.Cmd("a MOVE 1:2 Archive"), c.Cmd("a NOOP")...)
	assert.Contains(t, got, "* 1 EXPUNGE")
	assert.Contains(t, got, `* 2 FETCH (UID 3 FLAGS (\Flagged))`)
}

// A client has as long to read the news as the server gives it for a response.
func TestAClientThatDoesNotReadTheNews(t *testing.T) {
	for wait, reads := range map[time.Duration]bool{
		30*time.Second - 1: true, 30*time.Second + 1: false,
	} {
		synctest.Test(t, func(t *testing.T) {
			n := &newsworthy{
				newBackend(stored{content: "one"}), make(map[uint32][]imap.Flag), false,
			}
			c := open(t, n, resetMove)
			for seqNum := range uint32(900) { // more than the connection holds
				n.changed[seqNum+2] = []imap.Flag{imap.Flag(strings.Repeat("x", 100))}
			}
			c.Send("a COPY 1 Nowhere", "b LOGOUT")
			time.Sleep(wait)
			got := c.Rest()
			assert.Equal(t, reads, slices.Contains(got, "b OK LOGOUT completed"), wait)
		})
	}
}
