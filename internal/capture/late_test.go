package capture_test

import (
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/capture"
)

// A session may keep its writer, and write when its method has returned. go-imap lets that pass. It
// must not be a data race here: neither with each, nor with what comes after the call.
func TestAWriterThatIsUsedTooLate(t *testing.T) {
	for range 20 {
		var all sync.WaitGroup
		listed := 0
		err := capture.List(&imap.ListOptions{}, func(w *imapserver.ListWriter) error {
			all.Go(func() {
				for range 20 {
					w.WriteList(&imap.ListData{Mailbox: "late", Delim: '/'})
				}
			})
			return w.WriteList(&imap.ListData{Mailbox: "x", Delim: '/'})
		}, func(*imap.ListData) error {
			listed++
			return nil
		})
		after := listed
		all.Wait()
		assert.Equal(t, after, listed, "nothing is handed over later")
		if err == nil {
			assert.Positive(t, listed)
		}
	}
}
