package capture_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/capture"
)

// BenchmarkList shows what a call costs, and what each mailbox adds to it.
func BenchmarkList(b *testing.B) {
	for _, mailboxes := range []int{0, 10_000} {
		list := make([]*imap.ListData, mailboxes)
		for i := range list {
			list[i] = &imap.ListData{
				Attrs:   []imap.MailboxAttr{imap.MailboxAttrHasNoChildren},
				Delim:   '/',
				Mailbox: fmt.Sprint("Projects/", i),
			}
		}
		b.Run(fmt.Sprint(mailboxes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				capture.List(&imap.ListOptions{}, func(w *imapserver.ListWriter) error {
					for _, data := range list {
						if err := w.WriteList(data); err != nil {
							return err
						}
					}
					return nil
				}, func(*imap.ListData) error { return nil })
			}
		})
	}
}

func dropped(*capture.Message, string, int64) (io.Writer, error) { return nil, nil }

// BenchmarkFetch shows what a call costs, and what a message of 10 KiB adds to it.
func BenchmarkFetch(b *testing.B) {
	body := make([]byte, 10<<10)
	whole := &imap.FetchItemBodySection{Peek: true}
	for _, messages := range []uint32{0, 1000} {
		b.Run(fmt.Sprint(messages), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				capture.Fetch(func(w *imapserver.FetchWriter) error {
					for seqNum := range messages {
						m := w.CreateMessage(seqNum + 1)
						m.WriteUID(imap.UID(seqNum + 1))
						m.WriteFlags([]imap.Flag{imap.FlagSeen})
						m.WriteRFC822Size(int64(len(body)))
						section := m.WriteBodySection(whole, int64(len(body)))
						section.Write(body)
						section.Close()
						if err := m.Close(); err != nil {
							return err
						}
					}
					return nil
				}, dropped, func(*capture.Message) error { return nil })
			}
		})
	}
}
