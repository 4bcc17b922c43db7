package vfolders

import (
	"crypto/tls"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
)

func (h *History) len() int {
	n := 0
	for i := range h.parts {
		n += len(h.parts[i].young) + len(h.parts[i].old)
	}
	return n
}

// Clients with any number of names and mailboxes cannot make it grow.
func TestWhatIsSeenIsBounded(t *testing.T) {
	h := &History{}
	for i := range 400_000 {
		h.add(uint64(i), "Archive")
	}
	assert.LessOrEqual(t, h.len(), 256<<10)
	assert.Greater(t, h.len(), 128<<10)
	for i := range h.parts {
		assert.LessOrEqual(t, len(h.parts[i].young), generationSize)
	}
}

// One who opens a great many mailboxes makes it forget his own, and those of few others.
func TestOneUserMakesItForgetFewOthers(t *testing.T) {
	h := &History{}
	key := func(user int) uint64 { return h.accountKey(account{user: fmt.Sprint(user)}) }
	const users, hostile = 1000, 1000
	for user := range users {
		h.add(key(user), "Archive")
	}
	for i := range 10 * generationSize {
		h.add(key(hostile), fmt.Sprint(i))
	}
	kept := 0
	for user := range users {
		if h.has(key(user), "Archive") {
			kept++
		}
	}
	assert.Greater(t, kept, users*9/10)
	assert.False(t, h.has(key(hostile), "0"))
	assert.True(t, h.has(key(hostile), fmt.Sprint(10*generationSize-1)))
}

// A name that is asked for stays, also if nobody sees the mailbox again: so do virtual folders.
func TestWhatIsAskedForStays(t *testing.T) {
	h := &History{}
	h.add(7, "asked for")
	h.add(7, "added again")
	h.add(7, "neither")
	for i := range 10 * generationSize {
		h.add(7, fmt.Sprint(i))
		h.has(7, "asked for")
		h.add(7, "added again")
	}
	assert.True(t, h.has(7, "asked for"))
	assert.True(t, h.has(7, "added again"))
	assert.False(t, h.has(7, "neither"))
	assert.False(t, h.has(8, "asked for"), "of another account, in another part")
	assert.False(t, h.has(7+historyParts, "asked for"), "of another account, in the same part")
}

func TestNoTwoAccountsAreTakenForOne(t *testing.T) {
	h := &History{}
	keys := make(map[uint64]account)
	for _, a := range []account{
		{user: "ab"}, {user: "a", localHost: "b"}, {user: "a", serverName: "b"}, {chosen: "ab"},
		{chosen: "a", user: "b"}, {localHost: "ab"}, {serverName: "ab"}, {user: "ab\x00"},
	} {
		key := h.accountKey(a)
		assert.NotContains(t, keys, key, "%v", a)
		assert.Equal(t, key, h.accountKey(a))
		assert.NotEqual(t, key, (&History{}).accountKey(a), "the key of each History is another one")
		keys[key] = a
	}
}

func TestOnlyWhatCanBecomeAVirtualFolderIsKept(t *testing.T) {
	options := &Options{Prefixes: []string{"INBOX", "Public"}}
	s := &session{options: options, history: &History{}, who: who{keyed: true, known: true}}
	for _, name := range []string{"INBOX", "inbox", "Private", "Public/a\uFFFD", ""} {
		s.saw(name)
		assert.Zero(t, s.history.len(), name)
	}
	s.saw("Public/a")
	assert.Equal(t, 1, s.history.len())
	s.history = nil
	s.saw("Public/b")
	assert.False(t, s.hasSeen("Public/a"), "the mode is NoSelect")
}

// addressed is a connection with another address of the server.
type addressed struct {
	net.Conn
	addr net.Addr
}

func (a addressed) LocalAddr() net.Addr { return a.addr }

func TestABackendMayChooseTheAccountByTheServersAddressAndName(t *testing.T) {
	at := func(ip string, port int) net.Conn {
		return addressed{addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: port}}
	}
	one := accountOf("bob", at("192.0.2.1", 143))
	assert.Equal(t, one, accountOf("bob", at("192.0.2.1", 993)), "one client may use both")
	assert.NotEqual(t, one, accountOf("bob", at("192.0.2.2", 143)))
	assert.NotEqual(t, one, accountOf("karen", at("192.0.2.1", 143)))
	assert.Equal(t, account{user: "bob"}, accountOf("bob", addressed{}), "it has no address")
	path := accountOf("bob", addressed{addr: &net.UnixAddr{Name: "/run/imap", Net: "unix"}})
	assert.Equal(t, account{user: "bob", localHost: "/run/imap"}, path)

	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	secure := tls.Server(server, imaptest.ServerTLS())
	handshake := make(chan error, 1)
	go func() { handshake <- tls.Client(client, imaptest.ClientTLS()).Handshake() }()
	require.NoError(t, secure.Handshake())
	require.NoError(t, <-handshake)
	assert.Equal(t, "imap.example", accountOf("bob", secure).serverName)
}
