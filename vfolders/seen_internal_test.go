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

func (s *seen) len() int {
	n := 0
	for i := range s.parts {
		n += len(s.parts[i].young) + len(s.parts[i].old)
	}
	return n
}

// Clients with any number of names and mailboxes cannot make it grow.
func TestWhatIsSeenIsBounded(t *testing.T) {
	s := newSeen()
	for i := range 400_000 {
		s.add(uint64(i), "Archive")
	}
	assert.LessOrEqual(t, s.len(), 256<<10)
	assert.Greater(t, s.len(), 128<<10)
	for i := range s.parts {
		assert.LessOrEqual(t, len(s.parts[i].young), seenMost)
	}
}

// One who opens a great many mailboxes makes it forget his own, and those of few others.
func TestOneUserMakesItForgetFewOthers(t *testing.T) {
	s := newSeen()
	key := func(user int) uint64 { return seenKey(s, account{user: fmt.Sprint(user)}) }
	const users, hostile = 1000, 1000
	for user := range users {
		s.add(key(user), "Archive")
	}
	for i := range 10 * seenMost {
		s.add(key(hostile), fmt.Sprint(i))
	}
	kept := 0
	for user := range users {
		if s.has(key(user), "Archive") {
			kept++
		}
	}
	assert.Greater(t, kept, users*9/10)
	assert.False(t, s.has(key(hostile), "0"))
	assert.True(t, s.has(key(hostile), fmt.Sprint(10*seenMost-1)))
}

// A name that is asked for stays, also if nobody sees the mailbox again: so do virtual folders.
func TestWhatIsAskedForStays(t *testing.T) {
	s := newSeen()
	s.add(7, "asked for")
	s.add(7, "added again")
	s.add(7, "neither")
	for i := range 10 * seenMost {
		s.add(7, fmt.Sprint(i))
		s.has(7, "asked for")
		s.add(7, "added again")
	}
	assert.True(t, s.has(7, "asked for"))
	assert.True(t, s.has(7, "added again"))
	assert.False(t, s.has(7, "neither"))
	assert.False(t, s.has(8, "asked for"), "of another account, in another part")
	assert.False(t, s.has(7+seenParts, "asked for"), "of another account, in the same part")
}

func TestOnlyWhatCanBecomeAVirtualFolderIsKept(t *testing.T) {
	options := &Options{Prefixes: []string{"INBOX", "Public"}}
	s := &session{options: options, seen: newSeen(), who: who{asked: true, known: true}}
	for _, name := range []string{"INBOX", "inbox", "Private", "Public/a\uFFFD", ""} {
		s.saw(name)
		assert.Zero(t, s.seen.len(), name)
	}
	s.saw("Public/a")
	assert.Equal(t, 1, s.seen.len())
	s.seen = nil
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
