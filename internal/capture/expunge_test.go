package capture_test

import (
	"errors"
	"testing"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/capture"
)

func TestExpungeBringsBackTheSequenceNumbers(t *testing.T) {
	var got []uint32
	err := capture.Expunge(func(w *imapserver.ExpungeWriter) error {
		for _, seqNum := range []uint32{3, 3, 1<<32 - 1} {
			if err := w.WriteExpunge(seqNum); err != nil {
				return err
			}
		}
		return nil
	}, func(seqNum uint32) error {
		got = append(got, seqNum)
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, []uint32{3, 3, 1<<32 - 1}, got)
}

func TestExpungeReturnsTheErrorsOfBothSides(t *testing.T) {
	ours, theirs := errors.New("ours"), errors.New("theirs")
	nothing := func(uint32) error { return nil }
	fail := func(uint32) error { return ours }

	assert.Same(
		t, theirs, capture.Expunge(func(*imapserver.ExpungeWriter) error { return theirs }, nothing),
	)
	assert.Same(
		t, ours,
		capture.Expunge(func(w *imapserver.ExpungeWriter) error { return w.WriteExpunge(1) }, fail),
	)
	assert.Same(
		t, ours,
		capture.Expunge(func(w *imapserver.ExpungeWriter) error { w.WriteExpunge(1); return nil }, fail),
	)
	assert.NoError(t, capture.Expunge(func(*imapserver.ExpungeWriter) error { return nil }, fail))
	assert.PanicsWithValue(t, "backend", func() {
		capture.Expunge(func(*imapserver.ExpungeWriter) error { panic("backend") }, nothing)
	})
}
