package wire_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// store is a session whose mailbox has messages of one size.
type store struct {
	imaptest.Stub
	count   uint32
	message []byte
}

func (s store) Fetch(w *imapserver.FetchWriter, _ imap.NumSet, _ *imap.FetchOptions) error {
	for seq := range s.count {
		m := w.CreateMessage(seq + 1)
		m.WriteUID(imap.UID(seq + 1))
		body := m.WriteBodySection(&imap.FetchItemBodySection{}, int64(len(s.message)))
		if _, err := body.Write(s.message); err != nil {
			return err
		}
		if err := body.Close(); err != nil {
			return err
		}
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkFetch is 100 MiB over a loopback socket: in one message, in mails of a usual size, and
// in very small ones.
func BenchmarkFetch(b *testing.B) {
	const total = 100 << 20
	for _, size := range []int{total, 20 << 10, 500} {
		session := store{
			count:   uint32(total / size),
			message: []byte(strings.Repeat("x IDLE\r\n", size/8+1)[:size]),
		}
		options := quiet(imapserver.Options{
			NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) { return session, nil, nil },
		})
		for _, secure := range []bool{false, true} {
			options.InsecureAuth = !secure
			for _, side := range []string{"without", "with"} {
				b.Run(fmt.Sprintf("size=%d/TLS=%v/%s", size, secure, side), func(b *testing.B) {
					var s server = imapserver.New(options)
					if side == "with" {
						s = newServer(options)
					}
					ln, err := net.Listen("tcp", "127.0.0.1:0")
					require.NoError(b, err)
					address := ln.Addr().String()
					if secure {
						ln = tls.NewListener(ln, imaptest.ServerTLS())
					}
					start(b, s, ln)
					conn, err := net.Dial("tcp", address)
					require.NoError(b, err)
					if secure {
						conn = tls.Client(conn, imaptest.ClientTLS())
					}
					defer conn.Close()
					io.WriteString(conn, "a LOGIN u p\r\nb SELECT x\r\n")
					reader := bufio.NewReaderSize(conn, 1<<20)
					skipTo(b, reader, "b OK")
					b.SetBytes(total)
					for b.Loop() {
						io.WriteString(conn, "c FETCH 1:* BODY[]\r\nd NOOP\r\n")
						_, err := io.CopyN(io.Discard, reader, total)
						require.NoError(b, err)
						skipTo(b, reader, "d OK")
					}
				})
			}
		}
	}
}

func skipTo(b *testing.B, reader *bufio.Reader, prefix string) {
	for {
		line, err := reader.ReadString('\n')
		require.NoError(b, err)
		if strings.HasPrefix(line, prefix) {
			return
		}
	}
}
