package copymeta

import (
	"context"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/require"
)

// changing is a backend session whose FETCH also tells that the flags of all messages have changed,
// as another client can bring about with one STORE.
type changing struct {
	imapserver.Session
	messages int
}

func (c *changing) Fetch(w *imapserver.FetchWriter, _ imap.NumSet, _ *imap.FetchOptions) error {
	for i := range c.messages {
		m := w.CreateMessage(uint32(i + 1))
		m.WriteUID(imap.UID(i + 1))
		m.WriteRFC822Size(10)
		if err := m.Close(); err != nil {
			return err
		}
	}
	for i := range c.messages {
		m := w.CreateMessage(uint32(i + 1))
		m.WriteFlags([]imap.Flag{imap.FlagSeen})
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}

// The time for a message must not grow with their number: compare the sizes.
func BenchmarkLookWhileFlagsChange(b *testing.B) {
	for name, messages := range map[string]int{"1000": 1000, "20000": 20000} {
		b.Run(name, func(b *testing.B) {
			s := &session{Session: &changing{messages: messages}, shared: newShared(Options{})}
			for b.Loop() {
				found, err := s.look(context.Background(), imap.SeqSetNum(1), false)
				require.NoError(b, err)
				require.Len(b, found, messages)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*messages), "ns/message")
		})
	}
}
