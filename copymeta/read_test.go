package copymeta_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// An answer is what a backend writes about the messages that it is asked for.
type answer func(r *responder)

type responder struct {
	w       *imapserver.FetchWriter
	all     []*stored
	options *imap.FetchOptions
}

// write writes one response; the items are some of "uid flags date size body". All but the UID, and
// "unasked" flags, are left out that were not asked for.
func (r *responder) write(seqNum int, m *stored, items string) {
	w := r.w.CreateMessage(uint32(seqNum))
	for item := range strings.FieldsSeq(items) {
		switch {
		case item == "uid":
			w.WriteUID(m.uid)
		case item == "flags" && r.options.Flags, item == "unasked":
			w.WriteFlags(m.flags)
		case item == "date" && r.options.InternalDate:
			w.WriteInternalDate(m.date)
		case item == "size" && r.options.RFC822Size:
			w.WriteRFC822Size(m.size)
		case item == "body" && len(r.options.BodySection) > 0:
			writeSection(w, r.options.BodySection[0], m)
		}
	}
	w.Close()
}

// legal are answers that RFC 9051 allows (sections 5.2, 7 and 7.5.2): the items of a message in any
// order and in several responses, and responses in between that nobody asked for.
var legal = map[string]answer{
	"as ever": func(r *responder) {
		for i, m := range r.all {
			r.write(i+1, m, "uid flags date size body")
		}
	},
	"backwards": func(r *responder) {
		for i := len(r.all) - 1; i >= 0; i-- {
			r.write(i+1, r.all[i], "body size date flags uid")
		}
	},
	"flags of another message": func(r *responder) {
		other := &stored{uid: 77, flags: []imap.Flag{imap.FlagFlagged}}
		for i, m := range r.all {
			r.write(9, other, "unasked")
			r.write(i+1, m, "uid flags date size body")
			r.write(9, other, "uid unasked")
		}
	},
	"flags of a message before": func(r *responder) {
		for i, m := range r.all {
			r.write(i+1, m, "unasked")
			r.write(i+1, m, "uid flags date size body")
		}
	},
	"flags of a message after": func(r *responder) {
		for i, m := range r.all {
			r.write(i+1, m, "uid flags date size body")
			r.write(i+1, m, "unasked")
			r.write(i+1, m, "uid unasked")
		}
	},
	"two responses": func(r *responder) {
		for i, m := range r.all {
			r.write(i+1, m, "uid flags date")
			r.write(i+1, m, "size body")
		}
	},
	"two rounds": func(r *responder) {
		for i, m := range r.all {
			r.write(i+1, m, "body")
		}
		for i, m := range r.all {
			r.write(i+1, m, "size date flags uid")
		}
	},
	"one item a response": func(r *responder) {
		for item := range strings.FieldsSeq("size uid body date flags") {
			for i, m := range r.all {
				r.write(i+1, m, item)
			}
		}
	},
	// As imapmemserver answers of messages that the client has not heard of.
	"no sequence numbers": func(r *responder) {
		for _, m := range r.all {
			r.write(0, m, "uid flags date size")
		}
		for _, m := range r.all {
			r.write(0, m, "uid body")
		}
	},
	"no sequence numbers, and other flags": func(r *responder) {
		for _, m := range r.all {
			r.write(0, &stored{flags: []imap.Flag{imap.FlagFlagged}}, "unasked")
			r.write(0, m, "uid date size body")
			r.write(0, m, "uid flags")
		}
	},
	"other bodies": func(r *responder) {
		other := &stored{uid: 77, content: "nobody asked for this", size: 21}
		for i, m := range r.all {
			r.write(9, other, "uid body")
			r.write(i+1, m, "uid flags date size body")
			r.write(9, other, "body uid flags date")
		}
	},
	"everything twice, in two responses": func(r *responder) {
		for i, m := range r.all {
			for range 2 {
				r.write(i+1, m, "uid flags date size")
				r.write(i+1, m, "body")
			}
		}
	},
	"everything twice": func(r *responder) {
		for i, m := range r.all {
			r.write(i+1, m, "uid flags date size body")
			r.write(i+1, m, "body size date flags uid")
		}
	},
}

func TestEveryLegalAnswerOfABackend(t *testing.T) {
	for name, answer := range legal {
		for _, maxMemory := range []int64{1, 5, 1000} { // all, some or none in a file
			for _, set := range []string{"COPY 1:3", "COPY 1:*", "UID COPY 1:3", "UID COPY 1:*"} {
				if strings.Contains(set, "*") && strings.Contains(name, "other") {
					continue // there can be none
				}
				t.Run(fmt.Sprint(name, " ", maxMemory, " ", set), func(t *testing.T) {
					b := newBackend(
						stored{content: "one", date: past, flags: []imap.Flag{imap.FlagSeen}},
						stored{content: "two", date: past}, stored{content: "three", date: past},
					)
					b.answer = answer
					c := open(t, b, &copymeta.Options{
						InternalDate: copymeta.Preserve, Flags: copymeta.Preserve, Move: true,
						MaxMemory: maxMemory, TempDir: t.TempDir(),
					})
					assert.Equal(
						t, "OK [COPYUID 7 1:3 41:43] COPY completed",
						imaptest.Last(c.Cmd("a "+set+" Archive")),
					)
					copies := b.mailboxes["Archive"]
					assert.Equal(t, []string{"one", "two", "three"}, contents(copies))
					require.Len(t, copies.messages, 3)
					assert.Equal(t, []imap.Flag{imap.FlagSeen}, copies.messages[0].flags)
					assert.Empty(t, copies.messages[1].flags)
					assert.True(t, past.Equal(copies.messages[2].date))
				})
			}
		}
	}
}

// The other way round: an answer that leaves out what was asked for is no reason for an OK.
func TestAnAnswerThatLeavesSomethingOut(t *testing.T) {
	for items, missing := range map[string]string{
		"uid":                  "flags, size or UID",
		"size":                 "flags, size or UID",
		"flags":                "flags, size or UID",
		"":                     "flags, size or UID",
		"uid size":             "content or UID",
		"uid size flags date":  "content or UID",
		"uid size date body":   "flags are",
		"uid size flags body":  "internal date is",
		"size flags date body": "flags, size or UID",
	} {
		for _, set := range []string{"COPY 1:3", "UID COPY 1:3", "UID COPY 1:*", "COPY *", "UID COPY $"} {
			for n := 1; n <= 3; n += 2 { // of one message, or of all
				b := newBackend(
					stored{content: "one", date: past}, stored{content: "two", date: past},
					stored{content: "three", date: past},
				)
				b.answer = func(r *responder) {
					for i, m := range b.selected.messages {
						what := "uid size flags date body"
						if i < n {
							what = items
						}
						r.write(i+1, m, what)
					}
				}
				if n == 1 && !strings.Contains(items, "size") && (set != "COPY 1:3" && items != "uid" ||
					set == "COPY *" || set == "UID COPY $") {
					continue // so it may be of another message that nobody asked for
				}
				c := open(t, b, &copymeta.Options{
					InternalDate: copymeta.Preserve, Flags: copymeta.Preserve,
				})
				last := imaptest.Last(c.Cmd("a " + set + " Archive"))
				assert.Contains(t, last, "NO [SERVERBUG] Message with UID ", "%s of %d, %s", items, n, set)
				assert.Contains(t, last, missing, "%s of %d, %s", items, n, set)
				assert.Empty(t, b.mailboxes["Archive"].messages)
			}
		}
	}
}

// A date that no client can read is none.
func TestADateThatCannotBeRead(t *testing.T) {
	const unreadable = "NO [SERVERBUG] Message with UID 2 cannot be read completely " +
		"(its internal date is missing), nothing was copied"
	year10000 := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	zone := time.Date(2020, 1, 1, 0, 0, 0, 0, time.FixedZone("", 30*60*60))
	for _, date := range []time.Time{year10000, zone} {
		for command, want := range map[string]map[copymeta.Policy]string{
			"COPY 1:2 Archive": {
				copymeta.Preserve: unreadable, copymeta.Keep: "OK [COPYUID 7 1:2 41:42] COPY completed",
				copymeta.Reset: "OK [COPYUID 7 1:2 41:42] COPY completed",
			},
			"MOVE 1:2 Archive": {
				copymeta.Preserve: unreadable, copymeta.Keep: "OK MOVE completed",
				copymeta.Reset: "OK MOVE completed",
			},
		} {
			for policy, want := range want {
				b := newBackend(stored{content: "one", date: past}, stored{content: "two", date: date})
				c := open(
					t, b, &copymeta.Options{InternalDate: policy, Flags: copymeta.Reset, Move: true},
				)
				assert.Equal(t, want, imaptest.Last(c.Cmd("a "+command)), "%s %s", command, policy)
			}
		}
	}
}

// Of a message of no bytes go-imap's ExtractBodySection delivers an empty line.
func TestAnEmptyMessageIsCopied(t *testing.T) {
	for _, options := range []*copymeta.Options{
		reset, {Flags: copymeta.Preserve, MaxMemory: 1, TempDir: t.TempDir()},
	} {
		user := karen(2)
		user.Append("INBOX", strings.NewReader(""), &imap.AppendOptions{})
		user.Append("INBOX", strings.NewReader("A: b\r\n\r\nafter"), &imap.AppendOptions{})
		c := login(t, user, options)
		assert.Equal(
			t, "OK [COPYUID 2 1:4 1:4] COPY completed", imaptest.Last(c.Cmd("a COPY 1:* Archive")),
		)
		sizes := func(mailbox string) []string {
			c.Cmd("s SELECT " + mailbox)
			return c.Cmd("f FETCH 1:* (RFC822.SIZE BODY.PEEK[])")
		}
		assert.Equal(t, sizes("INBOX"), sizes("Archive"))
	}
}

func TestAMessageWhoseSizeIsStatedWronglyIsNamed(t *testing.T) {
	for content, size := range map[string]int64{
		"ab": -1, "\r\n\r\n": -1, "\n\n": -1, "\r": -1, "\r\n": 3,
	} {
		for _, order := range []string{
			"uid size flags date body", "body flags date size uid", "body/uid flags date size",
		} {
			b := newBackend(
				stored{content: "one"}, stored{content: content, size: size}, stored{content: "three"},
			)
			b.answer = func(r *responder) {
				for i, m := range r.all {
					stated := *m
					stated.size = max(m.size, 0)
					for part := range strings.SplitSeq(order, "/") {
						r.write(i+1, &stated, part)
					}
				}
			}
			c := open(t, b, reset)
			assert.Equal(
				t, fmt.Sprintf(
					"NO [SERVERBUG] Message with UID 2 cannot be read completely (%d bytes instead of %d), "+
						"nothing was copied", len(content), max(size, 0),
				), imaptest.Last(c.Cmd("a COPY 1:* Archive")),
			)
			assert.Empty(t, b.mailboxes["Archive"].messages)
			assert.True(t, imaptest.IsOK(c.Cmd("b COPY 1,3 Archive")))
		}
	}
}

// It is found out before the message has been read, which may be large.
func TestAMessageOfAnotherSizeIsNotRead(t *testing.T) {
	b := newBackend(stored{content: "one"})
	const size int64 = 1 << 50
	b.answer = func(r *responder) {
		for i, m := range r.all {
			delivered := *m
			delivered.stream, delivered.size = noise{size}, size
			r.write(i+1, m, "uid size")
			r.write(i+1, &delivered, "uid body")
		}
	}
	c := open(t, b, reset)
	assert.Equal(
		t, fmt.Sprintf(
			"NO [SERVERBUG] Message with UID 1 cannot be read completely (%d bytes instead of 3), "+
				"nothing was copied", size,
		), imaptest.Last(c.Cmd("a COPY 1 Archive")),
	)
}

// A backend that says the UID last must not make an empty message's two bytes cost another one its
// room.
func TestAnEmptyMessageWhoseUIDComesLast(t *testing.T) {
	for _, maxMemory := range []int64{1, 8, 1000} {
		b := newBackend(stored{content: "one"}, stored{}, stored{content: "three"})
		b.answer = func(r *responder) {
			for i, m := range r.all {
				delivered := *m
				if m.content == "" {
					delivered.content = "\r\n"
				}
				r.write(i+1, &delivered, "body flags date size uid")
			}
		}
		c := open(
			t, b, &copymeta.Options{Flags: copymeta.Reset, MaxMemory: maxMemory, TempDir: t.TempDir()},
		)
		assert.Equal(
			t, "OK [COPYUID 7 1:3 41:43] COPY completed", imaptest.Last(c.Cmd("a COPY 1:* Archive")),
		)
		assert.Equal(t, []string{"one", "", "three"}, contents(b.mailboxes["Archive"]))
	}
}

// Flags that a client has made up go to the file when they are more than people use.
func TestManyFlags(t *testing.T) {
	for name, options := range map[string]copymeta.Options{
		"":         {},
		"MaxBytes": {MaxBytes: 100 << 10},
		"MaxTotal": {MaxTotalBytes: 100 << 10},
		"enough":   {MaxBytes: 200 << 10, MaxTotalBytes: 200 << 10},
	} {
		b := newBackend()
		for i := range 30 {
			var flags []imap.Flag
			for j := range 700 {
				flags = append(flags, imap.Flag(fmt.Sprintf("keyword-%d-%d", i/2, j)))
			}
			b.mailboxes["INBOX"].add(stored{content: "x", flags: flags})
		}
		b.mailboxes["INBOX"].add(stored{content: "y"})
		options.InternalDate, options.TempDir = copymeta.Reset, t.TempDir()
		c := open(t, b, &options)
		last := imaptest.Last(c.Cmd("a COPY 1:* Archive"))
		switch name {
		case "MaxBytes":
			assert.Equal(t, "NO [LIMIT] These messages are too large to be copied at once", last)
		case "MaxTotal":
			assert.Equal(t, "NO [LIMIT] Too much is being copied at once - try again later", last)
		default:
			require.Equal(t, "OK [COPYUID 7 1:31 41:71] COPY completed", last, name)
			for i, m := range b.mailboxes["Archive"].messages {
				require.Equal(t, b.mailboxes["INBOX"].messages[i].flags, m.flags)
			}
			last = imaptest.Last(c.Cmd("b COPY 1:* Archive"))
			require.Equal(t, "OK [COPYUID 7 1:31 72:102] COPY completed", last, name)
		}
		assertEmpty(t, options.TempDir)
	}
}

// Nor does it take more memory that no two messages have the same flags.
func TestFlagsThatAreAllDifferent(t *testing.T) {
	const messages = 10_000
	b := newBackend()
	for i := range messages {
		flag := imap.Flag(fmt.Sprint("keyword-", i))
		b.mailboxes["INBOX"].add(stored{content: "x", flags: []imap.Flag{flag}})
	}
	c := open(t, b, &copymeta.Options{InternalDate: copymeta.Reset, TempDir: t.TempDir()})
	before, during := heap(), int64(0)
	b.onAppend = func() {
		if during == 0 {
			during = heap()
		}
	}
	require.True(t, imaptest.IsOK(c.Cmd("a COPY 1:* Archive")))
	assert.Less(t, during-before, int64(messages*100))
	for i, m := range b.mailboxes["Archive"].messages {
		require.Equal(t, b.mailboxes["INBOX"].messages[i].flags, m.flags)
	}
}

// A backend that cannot read a message may leave it out of the answer. It has not gone for that.
func TestAMessageThatFetchLeavesOutIsNamed(t *testing.T) {
	for command, want := range map[string]string{
		"COPY 1:3 Archive": "NO [SERVERBUG] Message with UID 2 cannot be read completely " +
			"(its content is not delivered), nothing was copied",
		"MOVE 1:3 Archive": "NO [SERVERBUG] Message with UID 2 cannot be read completely " +
			"(its content is not delivered), nothing was copied",
		"COPY 1,3 Archive": "OK [COPYUID 7 1,3 41:42] COPY completed",
	} {
		b := newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"})
		b.answer = func(r *responder) {
			for _, m := range r.all {
				if len(r.options.BodySection) == 0 || m.uid != 2 {
					r.write(int(m.uid), m, "uid size flags date body")
				}
			}
		}
		c := open(t, b, resetMove)
		assert.Equal(t, want, imaptest.Last(c.Cmd("a "+command)))
		assert.Len(t, b.mailboxes["INBOX"].messages, 3)
	}
}

// What nobody has asked for may take the room of what was asked for, as long as it is not known
// whose it is. Then nothing is stored that is cut off.
func TestWhatNobodyAskedForCutsNothingOff(t *testing.T) {
	for _, maxMemory := range []int64{1, 1000} {
		b := newBackend(stored{content: "one"}, stored{content: "two"})
		b.answer = func(r *responder) {
			r.write(9, &stored{content: "nobody's"}, "body")
			for i, m := range r.all {
				r.write(i+1, m, "uid flags date size body")
			}
		}
		c := open(
			t, b, &copymeta.Options{Flags: copymeta.Reset, MaxMemory: maxMemory, TempDir: t.TempDir()},
		)
		last := imaptest.Last(c.Cmd("a COPY 1:2 Archive"))
		assert.Contains(t, last, "NO [SERVERBUG] Message with UID 1")
		assert.Empty(t, b.mailboxes["Archive"].messages)
	}
}

// Nor does it take memory when it is known that nobody has asked for it.
func TestWhatNobodyAskedForIsNotKept(t *testing.T) {
	const size, others = 1 << 20, 60
	content := strings.Repeat("x", size)
	b := newBackend(stored{content: content})
	b.answer = func(r *responder) {
		for i := range others {
			if len(r.options.BodySection) > 0 {
				r.write(i+2, &stored{uid: imap.UID(i + 100), content: content}, "body uid")
			}
		}
		r.write(1, r.all[0], "uid flags date size body")
	}
	before, during := heap(), int64(0)
	b.onAppend = func() { during = heap() }
	c := open(t, b, &copymeta.Options{Flags: copymeta.Reset, MaxMemory: size})
	assert.True(t, imaptest.IsOK(c.Cmd("a COPY 1 Archive")))
	assert.Less(t, during-before, int64(others*size/4))
}
