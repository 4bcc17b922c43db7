package mailserver

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"time"
)

// loadMbox reads an mbox file (RFC 4155). From_ lines in the text may be quoted as in mboxo or
// mboxrd.
func loadMbox(path string, fileTime time.Time, logger *slog.Logger) ([]message, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(content) == 0 {
		return nil, errEmpty
	}
	if !bytes.HasPrefix(content, fromLine) {
		return nil, errNotMail
	}
	var mail []message
	for i, raw := range splitMbox(content) {
		m, err := newMessage(raw, fileTime)
		if err != nil {
			skipped(logger, path, i+1, err)
			continue
		}
		mail = append(mail, m)
	}
	return mail, nil
}

var fromLine = []byte("From ")

// splitMbox returns the messages, each with its From_ line. It takes off the empty line at the end
// of each, and one ">" before each quoted "From " in the text.
func splitMbox(content []byte) [][]byte {
	var messages [][]byte
	var current []byte
	afterEmptyLine := true
	for rest := content; len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		switch {
		case startsMessage(line, rest, afterEmptyLine):
			if current != nil {
				messages = append(messages, withoutEmptyLine(current))
			}
			current = bytes.Clone(line)
		case line[0] == '>' && bytes.HasPrefix(bytes.TrimLeft(line, ">"), fromLine):
			current = append(current, line[1:]...)
		default:
			current = append(current, line...)
		}
		afterEmptyLine = len(bytes.TrimRight(line, "\r\n")) == 0
	}
	return append(messages, withoutEmptyLine(current))
}

// startsMessage tells a From_ line from a sentence that begins with "From ". A From_ line has a
// date, or, as some programs write none, it stands between an empty line and a header.
func startsMessage(line, rest []byte, afterEmptyLine bool) bool {
	if !bytes.HasPrefix(line, fromLine) {
		return false
	}
	if date, _ := cutFromLine(line); !date.IsZero() {
		return true
	}
	next, _ := cutLine(rest)
	name, _, isField := bytes.Cut(next, []byte{':'})
	return afterEmptyLine && isField && len(name) > 0 && !bytes.ContainsAny(name, " \t")
}

// cutFromLine returns the date in the From_ line at the beginning, zero if there is none, and what
// follows the line.
func cutFromLine(raw []byte) (time.Time, []byte) {
	if !bytes.HasPrefix(raw, fromLine) {
		return time.Time{}, raw
	}
	line, rest := cutLine(raw)
	words := strings.Fields(string(line))
	for _, layout := range fromDates {
		n := len(strings.Fields(layout))
		if len(words) < n {
			continue
		}
		if date, err := time.Parse(layout, strings.Join(words[len(words)-n:], " ")); err == nil {
			return date, rest
		}
	}
	return time.Time{}, rest
}

// fromDates are the dates that end a From_ line: that of RFC 4155, in UTC, and what programs write.
var fromDates = []string{
	"Mon Jan 2 15:04:05 2006",
	"Mon Jan 2 15:04:05 -0700 2006",
	"Mon Jan 2 15:04:05 2006 -0700",
	"Mon Jan 2 15:04:05 MST 2006",
	"Mon Jan 2 15:04 2006",
}

// cutLine returns the first line with its end, and the rest.
func cutLine(text []byte) (line, rest []byte) {
	end := bytes.IndexByte(text, '\n') + 1
	if end == 0 {
		end = len(text)
	}
	return text[:end], text[end:]
}

func withoutEmptyLine(text []byte) []byte {
	for _, end := range []string{"\r\n\r\n", "\n\n"} {
		if bytes.HasSuffix(text, []byte(end)) {
			return text[:len(text)-len(end)/2]
		}
	}
	return text
}
