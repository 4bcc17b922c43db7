package capture_test

import (
	"errors"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/capture"
)

func TestUpdateBringsBackEachResponse(t *testing.T) {
	var got []string
	err := capture.Update(func(w *imapserver.UpdateWriter) error {
		return errors.Join(
			w.WriteExpunge(3), w.WriteNumMessages(7), w.WriteMailboxFlags([]imap.Flag{"\\Seen", "a"}),
			w.WriteMessageFlags(2, 9, []imap.Flag{"\\Deleted"}),
		)
	}, func(response []byte) error {
		got = append(got, string(response))
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, []string{
		"* 3 EXPUNGE", "* 7 EXISTS", `* FLAGS (\Seen a)`, `* 2 FETCH (UID 9 FLAGS (\Deleted))`,
	}, got)
}

func TestUpdateReturnsTheErrorsOfBothSides(t *testing.T) {
	ours, theirs := errors.New("ours"), errors.New("theirs")
	fail := func([]byte) error { return ours }
	failing := func(*imapserver.UpdateWriter) error { return theirs }
	assert.Same(t, theirs, capture.Update(failing, fail))
	assert.Same(
		t, ours,
		capture.Update(func(w *imapserver.UpdateWriter) error { return w.WriteNumMessages(1) }, fail),
	)
	assert.NoError(t, capture.Update(func(*imapserver.UpdateWriter) error { return nil }, fail))
}

// What one writer has written can be written to another one.
func TestWriteUpdateWritesWhatUpdateBroughtBack(t *testing.T) {
	poll := func(w *imapserver.UpdateWriter) error {
		return errors.Join(
			w.WriteExpunge(3), w.WriteNumMessages(7), w.WriteNumRecent(2),
			w.WriteMailboxFlags([]imap.Flag{"\\Seen", "a"}), w.WriteMailboxFlags(nil),
			w.WriteMessageFlags(2, 9, []imap.Flag{"\\Deleted"}), w.WriteMessageFlags(4, 0, nil),
		)
	}
	brought := func(call func(w *imapserver.UpdateWriter) error) (got []string) {
		require.NoError(t, capture.Update(call, func(response []byte) error {
			got = append(got, string(response))
			return nil
		}))
		return got
	}
	want := brought(poll)
	assert.Len(t, want, 7)
	assert.Equal(t, want, brought(func(w *imapserver.UpdateWriter) error {
		return capture.Update(poll, func(response []byte) error {
			return capture.WriteUpdate(w, response)
		})
	}))
}

func TestWriteUpdateRefusesWhatNoPollTells(t *testing.T) {
	for _, response := range []string{
		"", "* ", "* x EXISTS", "* 99999999999 EXISTS", "* 3", "* FLAGS x", "* 3 FETCH", "* OK hello",
	} {
		assert.Empty(t, func() (got []string) {
			capture.Update(func(w *imapserver.UpdateWriter) error {
				assert.Error(t, capture.WriteUpdate(w, []byte(response)), "%q", response)
				return nil
			}, func(response []byte) error {
				got = append(got, string(response))
				return nil
			})
			return got
		}(), "%q", response)
	}
}
