package copymeta_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// dial returns a client on loopback TCP who has selected INBOX.
func dial(b *testing.B, newSession copymeta.NewSessionFunc) *imapclient.Client {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server := imapserver.New(
		&imapserver.Options{NewSession: newSession, Caps: imaptest.MemoryCaps(), InsecureAuth: true},
	)
	go server.Serve(listener)
	client, err := imapclient.DialInsecure(listener.Addr().String(), nil)
	require.NoError(b, err)
	b.Cleanup(func() {
		client.Close()
		server.Close()
	})
	require.NoError(b, client.Login("karen", "pass").Wait())
	_, err = client.Select("INBOX", nil).Wait()
	require.NoError(b, err)
	return client
}

// BenchmarkCopy copies 1,000 messages of 10 KiB by the backend's own COPY, by that of this package,
// and by what a client can do without it, all over loopback TCP.
func BenchmarkCopy(b *testing.B) {
	const messages, size = 1000, 10 << 10
	content := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcde\n", size/16)
	user := imaptest.User("karen")
	for range messages {
		user.Append(
			"INBOX", strings.NewReader(content[:size]),
			&imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}},
		)
	}
	all := imap.SeqSet{{Start: 1, Stop: 0}}
	copyAll := func(b *testing.B, client *imapclient.Client) {
		data, err := client.Copy(all, "Archive").Wait()
		require.NoError(b, err)
		require.Equal(b, "1:1000", data.DestUIDs.String())
	}
	for _, test := range []struct {
		name    string
		options *copymeta.Options
		run     func(b *testing.B, client *imapclient.Client)
	}{
		{"backend", nil, copyAll}, {"reset", reset, copyAll},
		{"reset-file", &copymeta.Options{Flags: copymeta.Reset, MaxMemory: 1}, copyAll},
		{"client", nil, func(b *testing.B, client *imapclient.Client) { fetchAndAppend(b, client, all) }},
	} {
		b.Run(test.name, func(b *testing.B) {
			client := dial(b, copymeta.Wrap(imaptest.Memory(user), test.options))
			b.ReportAllocs()
			for b.Loop() {
				recreate(b, user)
				test.run(b, client)
			}
		})
	}
}

func recreate(b *testing.B, user *imapmemserver.User) {
	b.StopTimer()
	user.Delete("Archive")
	require.NoError(b, user.Create("Archive", nil))
	b.StartTimer()
}

func fetchAndAppend(b *testing.B, client *imapclient.Client, set imap.NumSet) {
	var bodies [][]byte
	fetch := client.Fetch(
		set, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}},
	)
	for message := fetch.Next(); message != nil; message = fetch.Next() {
		buffer, err := message.Collect()
		require.NoError(b, err)
		bodies = append(bodies, buffer.BodySection[0].Bytes)
	}
	require.NoError(b, fetch.Close())
	for _, body := range bodies {
		appended := client.Append("Archive", int64(len(body)), nil)
		_, err := io.Copy(appended, bytes.NewReader(body))
		require.NoError(b, err)
		require.NoError(b, appended.Close())
		_, err = appended.Wait()
		require.NoError(b, err)
	}
}

// BenchmarkMemory copies 1 GiB in messages of 1 MiB, of a backend that has no memory of its own,
// and reports by how much the heap grows at most.
func BenchmarkMemory(b *testing.B) {
	s := newSink(1024, 1<<20)
	c := open(b, s, reset)
	var used uint64
	for b.Loop() {
		used = max(used, peak(func() { require.True(b, imaptest.IsOK(c.Cmd("a COPY 1:* Archive"))) }))
	}
	require.True(b, s.equal)
	b.ReportMetric(float64(used)/(1<<20), "peak-MiB")
}
