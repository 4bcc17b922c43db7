package mailserver

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// load returns the mail at the path and the log.
func load(t *testing.T, path string) ([]message, string) {
	t.Helper()
	var log bytes.Buffer
	mail, err := loadMail(path, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	return mail, log.String()
}

func date(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// assertDates compares moments, whatever their zone.
func assertDates(t *testing.T, mail []message, want ...string) {
	t.Helper()
	require.Len(t, mail, len(want))
	for i, m := range mail {
		assert.WithinDuration(t, date(want[i]), m.date, 0, "message %d", i+1)
	}
}

func TestLoadAFolder(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.CopyFS(folder, os.DirFS("testdata/folder")))
	require.NoError(
		t, os.Chtimes(filepath.Join(folder, "4-no-date.EML"), time.Time{}, date("1999-12-31T00:00:00Z")),
	)
	require.NoError(t, os.Mkdir(filepath.Join(folder, "6-folder.eml"), 0o700))
	crlf := "From karen Sat Jan  3 01:05:34 1998\r\nSubject: x\r\n\r\nline\r\n"
	require.NoError(t, os.WriteFile(filepath.Join(folder, "7-crlf.eml"), []byte(crlf), 0o600))

	mail, log := load(t, folder)
	assertDates(
		t, mail, "1998-01-03T08:20:30Z", "1999-12-31T00:00:00Z", "1998-01-04T00:00:00Z",
		"1998-01-03T01:05:34Z",
	)
	assert.Equal(
		t,
		"From: a@example.org\r\nSubject: first\r\nDate: Sat, 3 Jan 1998 10:20:30 +0200\r\n\r\n"+
			"one\r\ntwo\r\n",
		string(mail[0].content),
	)
	assert.Equal(
		t, "Subject: only a header\r\nDate: Sun, 4 Jan 1998 00:00:00 +0000\r\n\r\n",
		string(mail[2].content),
	)
	assert.Equal(t, "Subject: x\r\n\r\nline\r\n", string(mail[3].content))
	for _, want := range []string{
		"2-empty.eml reason=\"it is empty\"",
		"3-broken.eml reason=\"it is not a message: its header cannot be read\"",
		"6-folder.eml reason=\"it is not a file\"",
	} {
		assert.Contains(t, log, want)
	}
	assert.Equal(t, 3, strings.Count(log, "\n"))
}

// The files of a Maildir are made here: a Go module cannot hold names with a colon.
func TestLoadAMaildir(t *testing.T) {
	maildir := t.TempDir()
	for name, content := range map[string]string{
		"cur/1000.b.host:2,RS":          "Subject: second\n\nx\n",
		"cur/3000.d.host,S=12:2,DFPTab": "Subject: fourth\n\nx\n",
		"cur/1500.x.host:2,S":           "",
		"new/0900.a.host":               "Subject: first\nDate: Sat, 3 Jan 1998 10:20:30 +0200\n\nx\n",
		"new/2000.c.host":               "Subject: third\n\nx\n",
		"new/.hidden":                   "Subject: hidden\n\nx\n",
		"tmp/0001.t.host":               "Subject: not delivered\n\nx\n",
		"dovecot-uidlist":               "3 V1",
	} {
		path := filepath.Join(maildir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		require.NoError(t, os.Chtimes(path, time.Time{}, date("2001-01-01T00:00:00Z")))
	}
	mail, log := load(t, maildir)
	assertDates(
		t, mail, "1998-01-03T08:20:30Z", "2001-01-01T00:00:00Z", "2001-01-01T00:00:00Z",
		"2001-01-01T00:00:00Z",
	)
	for i, want := range []string{"first", "second", "third", "fourth"} {
		assert.Contains(t, string(mail[i].content), "Subject: "+want)
	}
	assert.Empty(t, mail[0].flags)
	assert.Equal(t, []imap.Flag{imap.FlagAnswered, imap.FlagSeen}, mail[1].flags)
	assert.Empty(t, mail[2].flags)
	assert.Equal(
		t, []imap.Flag{imap.FlagDraft, imap.FlagFlagged, imap.FlagForwarded, imap.FlagDeleted},
		mail[3].flags,
	)
	assert.Contains(t, log, "1500.x.host:2,S")
	assert.Equal(t, 1, strings.Count(log, "\n"))
}

func TestAMaildirMayLackAFolderAndNotBeEmpty(t *testing.T) {
	maildir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(maildir, "new"), 0o700))
	_, err := loadMail(maildir, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, errNoMail)
	require.NoError(
		t, os.WriteFile(filepath.Join(maildir, "new", "1.a.host"), []byte("Subject: x\n\n"), 0o600),
	)
	mail, _ := load(t, maildir)
	assert.Len(t, mail, 1)
}

func TestLoadAnMbox(t *testing.T) {
	mail, log := load(t, "testdata/mail.mbox")
	assertDates(t, mail, "1998-01-03T01:05:34Z", "1998-01-03T01:00:00Z", "1998-01-04T17:00:00Z")
	assert.Equal(
		t,
		"From: karen@example.org\r\nSubject: dates differ\r\n"+
			"Date: Fri, 2 Jan 1998 23:59:00 +0000\r\n\r\n"+
			"The date of the From_ line counts.\r\n\r\n"+
			"From here on it is text, in spite of the empty line above.\r\nFrom a quoted line\r\n"+
			">From a line quoted twice\r\n",
		string(mail[0].content),
	)
	assert.Equal(t, "Subject: two\r\n\r\n", string(mail[1].content))
	assert.True(t, strings.HasSuffix(string(mail[2].content), "\r\n\r\nfour\r\n"))
	assert.Contains(
		t, log,
		`file=testdata/mail.mbox message=3 reason="it is not a message: its header cannot be read"`,
	)
}

func TestAnMboxWithCRLF(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail")
	content, err := os.ReadFile("testdata/mail.mbox")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, toCRLF(content), 0o600))
	want, _ := load(t, "testdata/mail.mbox")
	got, _ := load(t, path)
	assert.Equal(t, want, got)
}

func TestOnlyRegularFilesAreRead(t *testing.T) {
	_, err := loadMail(os.DevNull, slog.New(slog.DiscardHandler))
	assert.ErrorIs(t, err, errNotMail)
}

func TestFromDates(t *testing.T) {
	for line, want := range map[string]string{
		"From a@b Sat Jan  3 01:05:34 1998":          "1998-01-03T01:05:34Z",
		"From a@b Sat Jan 13 01:05:34 1998 -0500":    "1998-01-13T06:05:34Z",
		"From 17@xxx Sat Jan 03 01:05:34 +0000 1998": "1998-01-03T01:05:34Z",
		"From a at b Sat Jan  3 01:05:34 UTC 1998":   "1998-01-03T01:05:34Z",
		"From a@b Sat Jan  3 01:05 1998\r":           "1998-01-03T01:05:00Z",
		"From now on":                                "0001-01-01T00:00:00Z",
		"From ":                                      "0001-01-01T00:00:00Z",
	} {
		got, rest := cutFromLine([]byte(line + "\nrest"))
		assert.WithinDuration(t, date(want), got, 0, line)
		assert.Equal(t, "rest", string(rest))
	}
}

// Whatever the file holds, what is loaded can be served, and no line ends in a bare LF.
func FuzzMbox(f *testing.F) {
	content, err := os.ReadFile("testdata/mail.mbox")
	require.NoError(f, err)
	f.Add(content)
	f.Add([]byte("From \n\n>From \r\n\r\n\nFrom a\nb:\n\n"))
	f.Add([]byte("From x\n: \n\nFrom x Sat Jan 3 01:05 1998"))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, raw := range splitMbox(content) {
			m, err := newMessage(raw, time.Time{})
			if err != nil {
				continue
			}
			assert.True(t, readable(m.content))
			assert.Equal(t, bytes.Count(m.content, []byte("\n")), bytes.Count(m.content, []byte("\r\n")))
		}
	})
}
