package copymeta_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// randomMessage is made of what mail programs stumble over: 8-bit bytes, NUL, CR and LF by
// themselves, no header, nothing at all.
func randomMessage(source *rand.Rand) string {
	pieces := []string{
		"Subject: x", "A: b", ":", " ", "\t", "\r\n", "\r\n", "\r\n\r\n", "\r", "\n", "\n\n", "\x00",
		"\xff\xfe", "ü", "body",
		")\r\n* 1 FETCH (", "{3}\r\n", "* OK",
		"\"", "\\", "From x\n", ".\r\n", strings.Repeat("long ", 300),
	}
	var message strings.Builder
	if source.IntN(3) > 0 { // with a header, so that imapmemserver has something to say
		fmt.Fprintf(&message, "Subject: %d\r\n\r\n", source.IntN(9))
	}
	for range source.IntN(12) {
		message.WriteString(pieces[source.IntN(len(pieces))])
	}
	return message.String()
}

func TestACopyHasEveryByte(t *testing.T) {
	for seed := range uint64(30) {
		source := rand.New(rand.NewPCG(seed, 0))
		b := newBackend(stored{content: ""})
		for range 40 {
			b.mailboxes["INBOX"].add(stored{content: randomMessage(source)})
		}
		b.mailboxes["INBOX"].add(stored{content: ""})
		c := open(t, b, &copymeta.Options{Flags: copymeta.Reset, MaxMemory: 1 + source.Int64N(9000)})
		require.True(t, imaptest.IsOK(c.Cmd("a COPY 1:* Archive")))
		assert.Equal(t, contents(b.mailboxes["INBOX"]), contents(b.mailboxes["Archive"]), "seed %d", seed)
	}
}

// imapmemserver cannot be asked for the bytes of each message. A copy is made when it can, and then
// has what FETCH says of the source.
func TestACopyHasEveryByteOrIsNotMade(t *testing.T) {
	source := rand.New(rand.NewPCG(1, 2))
	user := imaptest.User("karen", "Archive")
	const messages = 500
	for range messages {
		user.Append("INBOX", strings.NewReader(randomMessage(source)), &imap.AppendOptions{})
	}
	c := login(t, user, reset)
	items := func(n int, mailbox string) string {
		c.Cmd("s SELECT " + mailbox)
		lines := c.Cmd(fmt.Sprintf("f FETCH %d BODY.PEEK[]", n))
		_, items, _ := strings.Cut(lines[0], "BODY[]")
		return items
	}
	copies := 0
	for n := 1; n <= messages; n++ {
		original := items(n, "INBOX")
		last := imaptest.Last(c.Cmd(fmt.Sprintf("a COPY %d Archive", n)))
		if strings.HasPrefix(last, "OK ") {
			copies++
			assert.Equal(t, original, items(copies, "Archive"))
			continue
		}
		assert.Contains(t, last, "cannot be read completely")
	}
	assert.Len(t, archive(c), copies)
	assert.Greater(t, copies, messages/2)
	assert.Less(t, copies, messages)
}
