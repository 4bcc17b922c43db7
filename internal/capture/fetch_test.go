package capture_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/capture"
)

// received is a message with its sections.
type received struct {
	capture.Message
	sections map[string]string
	order    []string
}

// fetch returns what comes out for a session that does as call.
func fetch(call func(w *imapserver.FetchWriter) error) (got []*received, err error) {
	next := &received{sections: map[string]string{}}
	var open *bytes.Buffer
	take := func() {
		if open != nil {
			next.sections[next.order[len(next.order)-1]] = open.String()
		}
	}
	err = capture.Fetch(call, func(m *capture.Message, name string, size int64) (io.Writer, error) {
		take()
		next.order = append(next.order, name)
		open = bytes.NewBuffer(make([]byte, 0, size))
		return open, nil
	}, func(m *capture.Message) error {
		take()
		next.Message = *m
		got = append(got, next)
		next, open = &received{sections: map[string]string{}}, nil
		return nil
	})
	return got, err
}

func section(m *imapserver.FetchResponseWriter, item *imap.FetchItemBodySection, body string) {
	w := m.WriteBodySection(item, int64(len(body)))
	io.WriteString(w, body)
	w.Close()
}

func TestFetchBringsBackWhatWasWritten(t *testing.T) {
	date := time.Date(2024, time.February, 3, 4, 5, 6, 0, time.FixedZone("", -5*3600))
	got, err := fetch(func(w *imapserver.FetchWriter) error {
		m := w.CreateMessage(1)
		m.WriteUID(1<<32 - 1)
		m.WriteFlags([]imap.Flag{imap.FlagSeen, "$keyword", `\own`})
		m.WriteInternalDate(date)
		m.WriteRFC822Size(1 << 40)
		section(
			m, &imap.FetchItemBodySection{Peek: true},
			"A: b\r\n\r\n) {5}\r\n* 2 FETCH (UID 7)\r\n\x00\xff\"",
		)
		section(m, &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader}, "")
		require.NoError(t, m.Close())

		m = w.CreateMessage(2) // the sections first
		section(
			m, &imap.FetchItemBodySection{Part: []int{1, 2}, Specifier: imap.PartSpecifierMIME}, "mime",
		)
		section(
			m, &imap.FetchItemBodySection{Partial: &imap.SectionPartial{Offset: 3, Size: 9}}, "partial",
		)
		m.WriteFlags(nil)
		m.WriteUID(5)
		require.NoError(t, m.Close())

		return w.CreateMessage(3).Close()
	})
	require.NoError(t, err)
	require.Len(t, got, 3)

	assert.True(t, date.Equal(got[0].InternalDate))
	got[0].InternalDate = time.Time{}
	assert.Equal(
		t,
		capture.Message{
			SeqNum: 1,
			UID:    1<<32 - 1,
			Flags:  []imap.Flag{imap.FlagSeen, "$keyword", `\own`},
			Size:   1 << 40,
		},
		got[0].Message,
	)
	assert.Equal(
		t,
		map[string]string{
			"BODY[]":       "A: b\r\n\r\n) {5}\r\n* 2 FETCH (UID 7)\r\n\x00\xff\"",
			"BODY[HEADER]": "",
		},
		got[0].sections,
	)

	assert.Equal(t, capture.Message{SeqNum: 2, UID: 5, Flags: []imap.Flag{}, Size: -1}, got[1].Message)
	assert.Equal(
		t, map[string]string{"BODY[1.2.MIME]": "mime", "BODY[]<3>": "partial"}, got[1].sections,
	)
	assert.Equal(t, []string{"BODY[1.2.MIME]", "BODY[]<3>"}, got[1].order)

	assert.Equal(t, capture.Message{SeqNum: 3, Size: -1}, got[2].Message)
}

func TestFetchTellsASectionFromOtherLiterals(t *testing.T) {
	got, err := fetch(func(w *imapserver.FetchWriter) error {
		m := w.CreateMessage(1)
		m.WriteEnvelope(&imap.Envelope{
			Date: time.Now(), Subject: "BODY[] {3}", MessageID: "a\r\nb",
			From: []imap.Address{
				{Name: `"\`, Mailbox: "x] \n] ", Host: "BODY[] \n"}, {Mailbox: "y", Host: "z"},
			},
		})
		m.WriteBodyStructure(&imap.BodyStructureSinglePart{Type: "text", Subtype: "plain"})
		m.WriteBinarySectionSize(&imap.FetchItemBinarySectionSize{Part: []int{1}}, 9)
		binary := m.WriteBinarySection(&imap.FetchItemBinarySection{Part: []int{1}}, 3)
		io.WriteString(binary, "\x00\x01\x02")
		binary.Close()
		section(m, &imap.FetchItemBodySection{
			Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"Subject", "BODY[] ", "a\nb] "},
		}, "Subject: x\r\n")
		m.WriteUID(7)
		return m.Close()
	})
	require.NoError(t, err)
	require.Len(t, got, 1)
	assert.Equal(t, imap.UID(7), got[0].UID)
	assert.Equal(t, map[string]string{
		"BINARY[1]": "\x00\x01\x02",
		"BODY[HEADER.FIELDS (\"Subject\" \"BODY[] \" \"a\nb] \")]": "Subject: x\r\n",
	}, got[0].sections)
}

func TestFetchKnowsAtASectionWhatCameBefore(t *testing.T) {
	var before []capture.Message
	err := capture.Fetch(func(w *imapserver.FetchWriter) error {
		m := w.CreateMessage(4)
		m.WriteUID(9)
		section(m, &imap.FetchItemBodySection{}, "dropped")
		m.WriteRFC822Size(7)
		section(m, &imap.FetchItemBodySection{Specifier: imap.PartSpecifierText}, "dropped")
		return m.Close()
	}, func(m *capture.Message, name string, size int64) (io.Writer, error) {
		before = append(before, *m)
		assert.EqualValues(t, 7, size)
		return nil, nil
	}, func(*capture.Message) error { return nil })
	require.NoError(t, err)
	assert.Equal(
		t, []capture.Message{{SeqNum: 4, UID: 9, Size: -1}, {SeqNum: 4, UID: 9, Size: 7}}, before,
	)
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestFetchReturnsTheErrorsOfBothSides(t *testing.T) {
	ours, theirs := errors.New("ours"), errors.New("theirs")
	write := func(w *imapserver.FetchWriter) error {
		m := w.CreateMessage(1)
		section(m, &imap.FetchItemBodySection{}, "body")
		return m.Close()
	}
	ignore := func(w *imapserver.FetchWriter) error { write(w); return nil }
	drop := func(*capture.Message, string, int64) (io.Writer, error) { return nil, nil }
	nothing := func(*capture.Message) error { return nil }

	assert.Same(
		t, theirs, capture.Fetch(func(*imapserver.FetchWriter) error { return theirs }, drop, nothing),
	)
	for _, call := range []func(*imapserver.FetchWriter) error{write, ignore} {
		assert.Same(t, ours, capture.Fetch(call, drop, func(*capture.Message) error { return ours }))
		assert.Same(
			t,
			ours,
			capture.Fetch(
				call, func(*capture.Message, string, int64) (io.Writer, error) { return nil, ours }, nothing,
			),
		)
		assert.Same(
			t,
			ours,
			capture.Fetch(call, func(*capture.Message, string, int64) (io.Writer, error) {
				return failingWriter{ours}, nil
			}, nothing),
		)
	}
	assert.PanicsWithValue(t, "backend", func() {
		capture.Fetch(func(w *imapserver.FetchWriter) error {
			w.CreateMessage(1).WriteUID(1)
			panic("backend")
		}, drop, nothing)
	})
}

func TestFetchOfAHalfWrittenResponseFails(t *testing.T) {
	sessions := map[string]func(w *imapserver.FetchWriter) error{
		"never closed": func(w *imapserver.FetchWriter) error {
			w.CreateMessage(1).WriteUID(1)
			return nil
		},
		"no body": func(w *imapserver.FetchWriter) error {
			w.CreateMessage(1).WriteBodySection(&imap.FetchItemBodySection{}, 9)
			return nil
		},
		"invalid flag": func(w *imapserver.FetchWriter) error {
			m := w.CreateMessage(1)
			m.WriteFlags([]imap.Flag{"not a flag"})
			assert.Error(t, m.Close())
			return nil
		},
	}
	for missing := range 12 { // bytes that the rest of the response and the next one are taken for
		sessions[fmt.Sprint("missing ", missing+1)] = func(w *imapserver.FetchWriter) error {
			for seqNum := range uint32(2) {
				m := w.CreateMessage(seqNum + 1)
				body := m.WriteBodySection(&imap.FetchItemBodySection{}, int64(100+missing+1))
				body.Write(make([]byte, 100))
				body.Close()
				m.Close()
			}
			return nil
		}
	}
	for name, session := range sessions {
		t.Run(name, func(t *testing.T) {
			_, err := fetch(session)
			assert.Error(t, err)
		})
	}
}

func TestFetchLeavesNothingRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails when a goroutine is left
		_, err := fetch(func(w *imapserver.FetchWriter) error { w.CreateMessage(1); return nil })
		assert.Error(t, err)
		_, err = fetch(func(w *imapserver.FetchWriter) error { return w.CreateMessage(1).Close() })
		assert.NoError(t, err)
	})
}

func TestFetchOfALargeMessageTakesNoMemory(t *testing.T) {
	chunk := make([]byte, 64<<10)
	const chunks = 100 << 20 / (64 << 10)
	var total int64
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := capture.Fetch(func(w *imapserver.FetchWriter) error {
		m := w.CreateMessage(1)
		body := m.WriteBodySection(&imap.FetchItemBodySection{}, chunks*int64(len(chunk)))
		for range chunks {
			if _, err := body.Write(chunk); err != nil {
				return err
			}
		}
		body.Close()
		return m.Close()
	}, func(*capture.Message, string, int64) (io.Writer, error) {
		return writerFunc(func(p []byte) (int, error) { total += int64(len(p)); return len(p), nil }), nil
	}, func(*capture.Message) error { return nil })
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	assert.EqualValues(t, 100<<20, total)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func FuzzFetchKeepsEveryBody(f *testing.F) {
	f.Add([]byte("A: b\r\n\r\ntext"), []byte("{3}\r\n"), uint8(3))
	f.Add([]byte(")\r\n* 1 FETCH ("), []byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, first, second []byte, cut uint8) {
		got, err := fetch(func(w *imapserver.FetchWriter) error {
			m := w.CreateMessage(1)
			body := m.WriteBodySection(&imap.FetchItemBodySection{}, int64(len(first)))
			at := min(int(cut), len(first))
			body.Write(first[:at])
			body.Write(first[at:])
			body.Close()
			section(m, &imap.FetchItemBodySection{Specifier: imap.PartSpecifierText}, string(second))
			m.WriteUID(3)
			return m.Close()
		})
		require.NoError(t, err)
		require.Len(t, got, 1)
		assert.Equal(
			t, map[string]string{"BODY[]": string(first), "BODY[TEXT]": string(second)}, got[0].sections,
		)
		assert.Equal(t, imap.UID(3), got[0].UID)
	})
}
